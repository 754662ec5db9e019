#include "src/prompts/review_prompt.h"

#include <fmt/format.h>

#include "src/prompts/control_word.h"

namespace ovid::prompts {

using tokenizer::ControlKind;
using tokenizer::TokenId;

namespace {

constexpr std::string_view kCategoryBegins = "<|category:", kWordEnds = "|>";

void append(std::vector<TokenId>& tokens, const std::vector<TokenId>& more) {
  tokens.insert(tokens.end(), more.begin(), more.end());
}

}  // namespace

std::string stars_word(int stars) {
  return fmt::format("<|stars:{}|>", stars);
}

std::string category_word(std::string_view category) {
  return fmt::format("{}{}{}", kCategoryBegins, category, kWordEnds);
}

std::vector<std::string> categories_of(const tokenizer::ControlWords& control) {
  std::vector<std::string> categories;
  for (const std::string& word : control.words) {
    if (!word.starts_with(kCategoryBegins) || !word.ends_with(kWordEnds)) continue;
    const std::size_t length = word.size() - kCategoryBegins.size() - kWordEnds.size();
    categories.push_back(word.substr(kCategoryBegins.size(), length));
  }
  return categories;
}

std::vector<TokenId> ReviewLayout::control(int stars, std::string_view category) const {
  const std::string star = stars == 0 ? "" : stars_word(stars);
  const std::string name = category.empty() ? "" : category_word(category);
  if (kind_ == ControlKind::kText) {
    return tokenizer_.encode(star + (star.empty() || name.empty() ? "" : " ") + name);
  }
  std::vector<TokenId> tokens;
  for (const std::string& word : {star, name}) {
    if (!word.empty()) append(tokens, control_word_tokens(tokenizer_, kind_, word));
  }
  return tokens;
}

// GPT-2's pattern parts ">" from the line end, and a line end from what is no space, which neither
// headline nor body begins with: the tokens of the parts are those of the whole.
std::vector<TokenId> ReviewLayout::prompt(int stars, std::string_view category,
                                          std::string_view headline) const {
  std::vector<TokenId> tokens{tokenizer_.end_of_text()};
  append(tokens, control(stars, category));
  append(tokens, tokenizer_.encode(headline.empty() ? "\n" : fmt::format("\n{}\n", headline)));
  return tokens;
}

std::string ReviewLayout::text(std::string_view headline, std::string_view body) {
  return fmt::format("\n{}\n{}", headline, body);
}

std::vector<TokenId> ReviewLayout::document(std::vector<TokenId> control, std::string_view text,
                                            tokenizer::EncodeCache& cache) const {
  std::vector<TokenId> tokens = std::move(control);
  tokens.insert(tokens.begin(), tokenizer_.end_of_text());
  tokenizer_.encode_append(text, tokenizer::SpecialTokens::kAsText, cache, tokens);
  return tokens;
}

}  // namespace ovid::prompts
