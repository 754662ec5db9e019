#include "data_tools/filters/quality.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <string>

#include "data_tools/filters/text_pieces.h"

namespace ovid::data_tools::filters {

namespace {

constexpr std::string_view kEllipsis = "\xe2\x80\xa6";

struct Figures {
  double words = 0;
  double characters = 0;  // of words
  double words_with_letters = 0;
  double hashes = 0;
  double ellipses = 0;
  double curly_brackets = 0;
  double lines = 0;
  double bullet_lines = 0;
  double ellipsis_lines = 0;
  unsigned stop_words = 0;  // one bit each
  bool lorem_ipsum = false;
};

bool is_ascii_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

unsigned stop_word_bit(std::string_view word) {
  static constexpr std::array<std::string_view, 8> kWords = {"the", "be",   "to",   "of",
                                                             "and", "that", "have", "with"};
  // Punctuation that clings to the word does not count, nor does a capital.
  while (!word.empty() && !is_ascii_letter(word.front())) word.remove_prefix(1);
  while (!word.empty() && !is_ascii_letter(word.back())) word.remove_suffix(1);
  if (word.size() < 2 || word.size() > 4) return 0;
  for (std::size_t i = 0; i < kWords.size(); ++i) {
    const bool is_equal =
        std::equal(word.begin(), word.end(), kWords[i].begin(), kWords[i].end(),
                   [](char a, char b) { return a == b || (a >= 'A' && a <= 'Z' && a + 32 == b); });
    if (is_equal) return 1u << i;
  }
  return 0;
}

void count_word(std::string_view word, Figures& figures) {
  ++figures.words;
  bool has_letter = false;
  std::size_t dots = 0;
  for (const char c : word) {
    if ((c & 0xC0) != 0x80) ++figures.characters;  // not a continuation byte
    has_letter |= is_ascii_letter(c) || (c & 0x80) != 0;
    if (c == '#') ++figures.hashes;
    if (c == '{' || c == '}') ++figures.curly_brackets;
    dots = c == '.' ? dots + 1 : 0;
    if (dots == 3) ++figures.ellipses;
  }
  for (std::size_t at = word.find(kEllipsis); at != std::string_view::npos;
       at = word.find(kEllipsis, at + 1)) {
    ++figures.ellipses;
  }
  if (has_letter) ++figures.words_with_letters;
  figures.stop_words |= stop_word_bit(word);
}

void count_line(std::string_view line, Figures& figures) {
  ++figures.lines;
  for (const std::string_view bullet : {"\xe2\x80\xa2", "\xe2\x80\xa3", "\xe2\x97\x8f",
                                        "\xe2\x96\xaa", "\xe2\x97\xa6", "\xc2\xb7", "*", "- "}) {
    if (line.starts_with(bullet)) {
      ++figures.bullet_lines;
      break;
    }
  }
  if (line.ends_with("...") || line.ends_with(kEllipsis)) ++figures.ellipsis_lines;
}

Figures measure(std::string_view text) {
  Figures figures;
  for_each_line(text, [&](std::string_view line) { count_line(line, figures); });
  std::string_view last;
  for_each_piece(text, [&](std::string_view word) {
    count_word(word, figures);
    const auto is_word = [](std::string_view piece, std::string_view lower) {
      return piece.size() >= 5 && std::equal(lower.begin(), lower.end(), piece.begin(),
                                             [](char l, char c) { return (c | 0x20) == l; });
    };
    figures.lorem_ipsum |= is_word(last, "lorem") && is_word(word, "ipsum");
    last = word;
  });
  return figures;
}

double share(double part, double whole) {
  return whole > 0 ? part / whole : 0;
}

}  // namespace

Verdict quality_verdict(std::string_view text, const QualityLimits& limits) {
  const Figures f = measure(text);
  if (f.words == 0) return Drop{Reason::kEmpty, 0, 1};
  const auto below = [](Reason reason, double figure, double limit) {
    return figure < limit ? Verdict(Drop{reason, figure, limit}) : std::nullopt;
  };
  const auto above = [](Reason reason, double figure, double limit) {
    return figure > limit ? Verdict(Drop{reason, figure, limit}) : std::nullopt;
  };
  const double mean_length = f.characters / f.words;
  for (const Verdict& verdict : {
           below(Reason::kTooFewWords, f.words, limits.min_words),
           above(Reason::kTooManyWords, f.words, limits.max_words),
           below(Reason::kMeanWordLength, mean_length, limits.min_mean_word_length),
           above(Reason::kMeanWordLength, mean_length, limits.max_mean_word_length),
           above(Reason::kSymbols, f.hashes / f.words, limits.max_symbols_per_word),
           above(Reason::kSymbols, f.ellipses / f.words, limits.max_symbols_per_word),
           above(Reason::kBulletLines, share(f.bullet_lines, f.lines), limits.max_bullet_lines),
           above(Reason::kEllipsisLines, share(f.ellipsis_lines, f.lines),
                 limits.max_ellipsis_lines),
           below(Reason::kWordsWithoutLetters, f.words_with_letters / f.words,
                 limits.min_words_with_letters),
           below(Reason::kFewStopWords, std::popcount(f.stop_words), limits.min_stop_words),
           above(Reason::kLoremIpsum, f.lorem_ipsum ? 1 : 0, limits.max_lorem_ipsum),
           above(Reason::kCurlyBrackets, f.curly_brackets / f.words,
                 limits.max_curly_brackets_per_word),
       }) {
    if (verdict) return verdict;
  }
  return std::nullopt;
}

}  // namespace ovid::data_tools::filters
