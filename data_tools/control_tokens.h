#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/core/file.h"
#include "src/tokenizer/tokenizer.h"

namespace ovid::data_tools {

// How control words such as <|stars:5|> stand in the tokens: spelled like any text, or each as one
// token behind the tokenizer's vocabulary.
enum class ControlKind { kText, kTokens };

// Control words of a data set, and the tokens of each.
class ControlTokens {
 public:
  // `words` in the order of their ids. Keeps a reference to `tokenizer`. Throws DataError where a
  // shard cannot hold so many ids.
  ControlTokens(const tokenizer::Tokenizer& tokenizer, ControlKind kind,
                std::vector<std::string> words);

  ControlKind kind() const { return kind_; }
  // Of words[index].
  const std::vector<std::uint16_t>& tokens_of(std::size_t index) const { return tokens_[index]; }
  const std::vector<std::string>& words() const { return words_; }
  // With the added tokens.
  std::int64_t vocabulary_size() const;

  // Writes the tokenizer's files; added tokens go into tokenizer.json and added_tokens.json, where
  // Hugging Face's programs look for them, while vocab.json and merges.txt stay as they are.
  void save_tokenizer(const Path& folder) const;

 private:
  const tokenizer::Tokenizer& tokenizer_;
  ControlKind kind_;
  std::vector<std::string> words_;
  std::vector<std::vector<std::uint16_t>> tokens_;
};

// The keys of dataset.json that tell of the tokens, as a JSON object: `control` ("text" or
// "tokens"), `control_words` and, of added tokens, `added_tokens` with `id` and `content`.
std::string control_as_json(const ControlTokens& control);

// Appends the tokens of a text, no special token among them.
void append_text(const tokenizer::Tokenizer& tokenizer, std::string_view text,
                 tokenizer::EncodeCache& cache, std::vector<std::uint16_t>& tokens);

}  // namespace ovid::data_tools
