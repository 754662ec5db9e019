#include "data_tools/control_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "src/core/error.h"
#include "src/prompts/control_word.h"

namespace ovid::data_tools {

using nlohmann::ordered_json;

namespace {

tokenizer::Tokenizer with_added(const tokenizer::Tokenizer& tokenizer,
                                const tokenizer::ControlWords& control) {
  tokenizer::Vocabulary vocabulary = tokenizer.vocabulary();
  if (control.kind != ControlKind::kTokens) return tokenizer::Tokenizer(std::move(vocabulary));
  std::vector<std::string> unknown;
  for (const std::string& word : control.words) {
    const bool known =
        std::any_of(vocabulary.added.begin(), vocabulary.added.end(),
                    [&](const tokenizer::AddedToken& token) { return token.content == word; });
    if (!known) unknown.push_back(word);
  }
  try {
    add_tokens(vocabulary, unknown);
  } catch (const DataError& error) {
    throw DataError(fmt::format("{}; use --control text, or a smaller vocabulary", error.what()));
  }
  return tokenizer::Tokenizer(std::move(vocabulary));
}

}  // namespace

ControlTokens::ControlTokens(const tokenizer::Tokenizer& tokenizer, tokenizer::ControlWords control)
    : control_(std::move(control)), tokenizer_(with_added(tokenizer, control_)) {
  for (const std::string& word : words()) {
    const auto ids = prompts::control_word_tokens(tokenizer_, kind(), word);
    tokens_.emplace_back(ids.begin(), ids.end());
  }
}

void ControlTokens::save_tokenizer(const Path& folder) const {
  tokenizer_.save(folder);
  save_control_words(control_, folder);
}

std::string control_as_json(const ControlTokens& control) {
  ordered_json description;
  description["control"] = name_of(control.kind());
  description["control_words"] = control.words();
  if (control.kind() != ControlKind::kTokens) return description.dump();
  ordered_json list = ordered_json::array();
  for (std::size_t i = 0; i < control.words().size(); ++i) {
    list.push_back({{"id", control.tokens_of(i).front()}, {"content", control.words()[i]}});
  }
  description["added_tokens"] = std::move(list);
  return description.dump();
}

}  // namespace ovid::data_tools
