#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/tokenizer/control_words.h"
#include "src/tokenizer/encode_cache.h"
#include "src/tokenizer/tokenizer.h"

namespace ovid::prompts {

inline constexpr int kMostStars = 5;
inline constexpr const char* kReviewTask = "amazon-reviews";  // in control.json

std::string stars_word(int stars);                     // "<|stars:5|>"
std::string category_word(std::string_view category);  // "<|category:Fashion|>"

// The categories among control words, in their order.
std::vector<std::string> categories_of(const tokenizer::ControlWords& control);

// How a review stands in tokens, for the data set and for every prompt: <|endoftext|>, then
//   <|stars:5|> <|category:Fashion|>
//   HEADLINE
//   BODY
// where control words that are tokens have no space between them, and without control words the
// first line is empty. Immutable.
class ReviewLayout {
 public:
  // Keeps a reference to `tokenizer`, which has the added tokens where `kind` says tokens.
  ReviewLayout(const tokenizer::Tokenizer& tokenizer, tokenizer::ControlKind kind)
      : tokenizer_(tokenizer), kind_(kind) {}

  // The control words alone: 1 to 5 stars, or 0 for no such word; an empty category has no word
  // either. Throws DataError for a word that the tokenizer lacks.
  std::vector<tokenizer::TokenId> control(int stars, std::string_view category) const;

  // What a new review goes on from: <|endoftext|>, the control words and a line end; with a
  // headline that too, and its line end.
  std::vector<tokenizer::TokenId> prompt(int stars, std::string_view category,
                                         std::string_view headline = {}) const;

  // What follows the control words: a line end, the headline, a line end, the body.
  static std::string text(std::string_view headline, std::string_view body);

  // A whole review: <|endoftext|>, control words, text. `cache` makes many of them fast.
  std::vector<tokenizer::TokenId> document(std::vector<tokenizer::TokenId> control,
                                           std::string_view text,
                                           tokenizer::EncodeCache& cache) const;

 private:
  const tokenizer::Tokenizer& tokenizer_;
  tokenizer::ControlKind kind_;
};

}  // namespace ovid::prompts
