#include "data_tools/filters/language.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "data_tools/filters/english_trigrams.h"
#include "src/tokenizer/unicode.h"
#include "src/tokenizer/utf8.h"

namespace ovid::data_tools::filters {

namespace {

constexpr std::size_t kMostWords = 20000;
constexpr std::size_t kLeastWords = 20;
constexpr std::uint8_t kSpace = 0;
constexpr std::uint8_t kOtherLetter = 27;
constexpr std::uint8_t kSkipped = 0xFF;  // apostrophes, joiners, accents that follow their letter

// English's commonest words.
constexpr std::string_view kStopWords[] = {
    "a",    "about", "all",   "an",    "and",   "are",   "as",   "at",    "be",   "been", "but",
    "by",   "can",   "do",    "for",   "from",  "had",   "has",  "have",  "he",   "her",  "his",
    "i",    "if",    "in",    "into",  "is",    "it",    "its",  "me",    "more", "my",   "no",
    "not",  "of",    "on",    "only",  "or",    "other", "out",  "said",  "she",  "so",   "than",
    "that", "the",   "their", "them",  "there", "they",  "this", "to",    "up",   "was",  "we",
    "were", "what",  "when",  "which", "who",   "will",  "with", "would", "you",  "your"};
constexpr std::size_t kLongestStopWord = 5;

// A word of up to kLongestStopWord symbols as one number; longer words lose their first symbols,
// but not their length.
constexpr std::uint64_t with_symbol(std::uint64_t packed, std::uint8_t symbol) {
  return (packed << 8 | symbol) & ((std::uint64_t{1} << 8 * (kLongestStopWord + 1)) - 1);
}

constexpr auto kPackedStopWords = [] {
  std::array<std::uint64_t, std::size(kStopWords)> packed{};
  for (std::size_t i = 0; i < packed.size(); ++i) {
    for (const char c : kStopWords[i]) {
      packed[i] = with_symbol(packed[i], static_cast<std::uint8_t>(c - 'a' + 1));
    }
  }
  std::sort(packed.begin(), packed.end());
  return packed;
}();

std::uint8_t symbol_of(char32_t c) {
  if (c == 0x2019 || (c >= 0x200B && c <= 0x200D) || c == 0xAD) return kSkipped;
  if (c >= 0x300 && c <= 0x36F) return kOtherLetter;
  const auto kind = tokenizer::CharacterClasses::instance().of(c);
  return kind == tokenizer::CharacterClass::kLetter ? kOtherLetter : kSpace;
}

// Letters and words as they pass.
class Counts {
 public:
  void add(std::uint8_t symbol) {
    if (symbol == kSpace) {
      if (last_ == kSpace) return;
      end_word();
    } else {
      ++letters_;
      if (symbol != kOtherLetter) ++ascii_letters_;
      word_ = with_symbol(word_, symbol);
    }
    if (symbols_ >= 2) half_bits_ += half_bits_of(before_last_, last_, symbol);
    ++symbols_;
    before_last_ = last_;
    last_ = symbol;
  }
  void end_word() {
    if (word_ == 0) return;
    ++words_;
    if (std::binary_search(kPackedStopWords.begin(), kPackedStopWords.end(), word_)) ++stop_words_;
    word_ = 0;
  }
  std::size_t words() const { return words_; }

  EnglishScore score() const {
    EnglishScore score;
    score.words = words_;
    if (letters_ == 0) return score;
    score.ascii_letters = static_cast<double>(ascii_letters_) / static_cast<double>(letters_);
    score.stop_words =
        words_ == 0 ? 0 : static_cast<double>(stop_words_) / static_cast<double>(words_);
    score.trigrams =
        symbols_ <= 2 ? 0
                      : 0.5 * static_cast<double>(half_bits_) / static_cast<double>(symbols_ - 2);
    // Texts of English have trigrams + 4 stop words from 2 on, of other languages below 0.8
    // (Scots and Nigerian Pidgin come near English); halfway is the score of a half, and a tenth
    // of a bit changes it by 0.07 there.
    constexpr double kMiddle = 1.4, kSlope = 3, kStopWordWeight = 4;
    const double evidence = score.trigrams + kStopWordWeight * score.stop_words - kMiddle;
    score.score = words_ < kLeastWords ? score.ascii_letters
                                       : score.ascii_letters / (1 + std::exp(-kSlope * evidence));
    return score;
  }

 private:
  static int half_bits_of(std::uint8_t a, std::uint8_t b, std::uint8_t c) {
    static constexpr std::array<std::int8_t, 128> kHalfBits = [] {
      std::array<std::int8_t, 128> table{};
      for (std::size_t i = 0; i < kTrigramLevels.size(); ++i) {
        table[static_cast<unsigned char>(kTrigramLevels[i])] =
            static_cast<std::int8_t>(static_cast<int>(i) - 16);
      }
      return table;
    }();
    const int index = (a * kTrigramSymbols + b) * kTrigramSymbols + c;
    return kHalfBits[static_cast<unsigned char>(kEnglishTrigrams[index])];
  }

  std::uint8_t before_last_ = kSpace;
  std::uint8_t last_ = kSpace;
  std::size_t symbols_ = 0;
  std::size_t letters_ = 0;
  std::size_t ascii_letters_ = 0;
  std::size_t words_ = 0;
  std::size_t stop_words_ = 0;
  std::int64_t half_bits_ = 0;  // log odds of the trigrams
  std::uint64_t word_ = 0;      // packed; 0 between words
};

}  // namespace

EnglishScore score_english(std::string_view text) {
  Counts counts;
  for (std::size_t i = 0; i < text.size() && counts.words() < kMostWords;) {
    const auto byte = static_cast<unsigned char>(text[i]);
    std::uint8_t symbol = kSpace;
    if (byte < 0x80) {
      const unsigned char lower = byte | 0x20;
      if (lower >= 'a' && lower <= 'z') {
        symbol = static_cast<std::uint8_t>(lower - 'a' + 1);
      } else if (byte == '\'') {
        symbol = kSkipped;
      }
      ++i;
    } else {
      const tokenizer::Utf8Step step = tokenizer::utf8_step(text, i);
      if (step.valid) symbol = symbol_of(step.code_point);
      i += step.length;
    }
    if (symbol != kSkipped) counts.add(symbol);
  }
  counts.end_word();
  return counts.score();
}

Verdict language_verdict(std::string_view text, double limit) {
  const double score = score_english(text).score;
  if (score >= limit) return std::nullopt;
  return Drop{Reason::kNotEnglish, score, limit};
}

}  // namespace ovid::data_tools::filters
