#include "src/evaluation/text_metrics.h"

#include <algorithm>
#include <set>
#include <unordered_map>

namespace ovid::evaluation {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

bool is_punctuation(char c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
         (c >= '{' && c <= '~');
}

template <class Parts>
Words split(std::string_view text, const Parts& parts_words) {
  Words words;
  std::string word;
  for (const char c : text) {
    if (!parts_words(c)) {
      word += lower(c);
    } else if (!word.empty()) {
      words.push_back(std::move(word));
      word.clear();
    }
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

// Words joined by a byte that no word has, so that equal keys are equal n-grams.
std::string ngram(const Words& words, std::size_t begin, std::size_t n) {
  std::string key;
  for (std::size_t i = begin; i < begin + n; ++i) key += words[i] + "\n";
  return key;
}

}  // namespace

Words normalised_words(std::string_view text) {
  Words words = split(text, [](char c) { return is_space(c) || is_punctuation(c); });
  std::erase_if(words, [](const std::string& w) { return w == "a" || w == "an" || w == "the"; });
  return words;
}

Words spaced_words(std::string_view text) {
  return split(text, is_space);
}

double word_f1(const Words& text, const Words& reference) {
  std::unordered_map<std::string_view, std::int64_t> left;
  for (const std::string& word : reference) ++left[word];
  double common = 0;
  for (const std::string& word : text) {
    const auto found = left.find(word);
    if (found == left.end() || found->second == 0) continue;
    --found->second;
    ++common;
  }
  if (common == 0) return 0;
  const double precision = common / static_cast<double>(text.size());
  const double recall = common / static_cast<double>(reference.size());
  return 2 * precision * recall / (precision + recall);
}

double NgramCounts::share() const {
  return all > 0 ? static_cast<double>(distinct) / static_cast<double>(all) : 0.0;
}

NgramCounts count_ngrams(std::span<const Words> texts, std::size_t n) {
  std::set<std::string> seen;
  NgramCounts counts;
  for (const Words& words : texts) {
    for (std::size_t i = 0; i + n <= words.size(); ++i, ++counts.all)
      seen.insert(ngram(words, i, n));
  }
  counts.distinct = static_cast<std::int64_t>(seen.size());
  return counts;
}

double repeated_ngrams(std::span<const Words> texts, std::size_t n) {
  double sum = 0, counted = 0;
  for (const Words& words : texts) {
    const NgramCounts counts = count_ngrams({&words, 1}, n);
    if (counts.all == 0) continue;
    sum += 1 - counts.share();
    ++counted;
  }
  return counted > 0 ? sum / counted : 0.0;
}

double repeated_texts(std::span<const Words> texts) {
  if (texts.empty()) return 0;
  const std::set<Words> distinct(texts.begin(), texts.end());
  return 1 - static_cast<double>(distinct.size()) / static_cast<double>(texts.size());
}

}  // namespace ovid::evaluation
