#include "src/prompts/control_word.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/core/error.h"

namespace ovid::prompts {

std::vector<tokenizer::TokenId> control_word_tokens(const tokenizer::Tokenizer& tokenizer,
                                                    tokenizer::ControlKind kind,
                                                    std::string_view word) {
  if (kind == tokenizer::ControlKind::kNone) return {};
  if (kind == tokenizer::ControlKind::kText) return tokenizer.encode(word);
  const auto& added = tokenizer.vocabulary().added;
  const auto found =
      std::find_if(added.begin(), added.end(),
                   [&](const tokenizer::AddedToken& token) { return token.content == word; });
  if (found == added.end()) {
    throw DataError(
        fmt::format("the tokenizer has no added token {} among its {}; copy added_tokens.json and "
                    "tokenizer.json of the data set's tokenizer folder beside the model",
                    word, added.size()));
  }
  return {found->id};
}

}  // namespace ovid::prompts
