#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/core/file.h"
#include "src/tokenizer/control_words.h"
#include "src/tokenizer/tokenizer.h"

namespace ovid::data_tools {

using tokenizer::ControlKind;

// Control words of a data set, and the tokens of each.
class ControlTokens {
 public:
  // Added tokens that `tokenizer` has already are taken as they are. Throws DataError where a shard
  // cannot hold so many ids.
  ControlTokens(const tokenizer::Tokenizer& tokenizer, tokenizer::ControlWords control);

  ControlKind kind() const { return control_.kind; }
  // Of words[index]; none without control words.
  const std::vector<std::uint16_t>& tokens_of(std::size_t index) const { return tokens_[index]; }
  const std::vector<std::string>& words() const { return control_.words; }
  // With the added tokens.
  const tokenizer::Tokenizer& tokenizer() const { return tokenizer_; }
  std::int64_t vocabulary_size() const { return tokenizer_.vocabulary_size(); }

  // Writes the tokenizer's files, with the added tokens, and control.json.
  void save_tokenizer(const Path& folder) const;

 private:
  tokenizer::ControlWords control_;
  tokenizer::Tokenizer tokenizer_;
  std::vector<std::vector<std::uint16_t>> tokens_;
};

// The keys of dataset.json that tell of the tokens, as a JSON object: `control` ("text",
// "tokens" or "none"), `control_words` and, of added tokens, `added_tokens` with `id` and
// `content`.
std::string control_as_json(const ControlTokens& control);

}  // namespace ovid::data_tools
