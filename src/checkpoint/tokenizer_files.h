#pragma once

#include <string>
#include <vector>

#include "src/core/file.h"

namespace ovid::checkpoint {

struct TokenizerFile {
  Path source;
  std::string name;  // in the model directory
};

// The tokenizer's files of a directory under the names that Hugging Face uses (OpenAI's
// encoder.json and vocab.bpe have the content of vocab.json and merges.txt), or the one file that
// `tokenizer` is. Throws DataError where there is none.
std::vector<TokenizerFile> find_tokenizer_files(const Path& tokenizer);

}  // namespace ovid::checkpoint
