#pragma once

#include <vector>

#include "src/tokenizer/vocabulary.h"

namespace ovid::tokenizer {

// Reads the added tokens of `directory` into `vocabulary`, which has its base alone: from
// tokenizer.json, else from added_tokens.json, where Hugging Face's programs keep them; where there
// are both, they must agree. Tokens of the base (<|endoftext|>) may stand there too. Throws
// DataError, with the file, for ids that do not follow the base without a gap, texts or ids twice,
// empty texts, texts that the base has already under another id, and settings that Ovid does not
// follow (lstrip, rstrip, single_word).
void read_added_tokens(const Path& directory, Vocabulary& vocabulary);

}  // namespace ovid::tokenizer
