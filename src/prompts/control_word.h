#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/tokenizer/control_words.h"
#include "src/tokenizer/tokenizer.h"

namespace ovid::prompts {

// The tokens of one control word: as text those of its characters, as tokens the one added token,
// and none without control words. Throws DataError where the tokenizer has no such added token.
std::vector<tokenizer::TokenId> control_word_tokens(const tokenizer::Tokenizer& tokenizer,
                                                    tokenizer::ControlKind kind,
                                                    std::string_view word);

}  // namespace ovid::prompts
