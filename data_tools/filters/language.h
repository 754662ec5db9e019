#pragma once

#include <string_view>

#include "data_tools/filters/verdict.h"

namespace ovid::data_tools::filters {

// How English a text looks.
struct EnglishScore {
  double ascii_letters = 0;  // share of the letters that are a-z
  double stop_words = 0;     // share of the words that are among English's commonest
  double trigrams = 0;       // mean log2 odds of a trigram of letters: English against any other
  std::size_t words = 0;
  double score = 0;  // the whole: English where at least kEnglishScore
};

// Reads the first 20,000 words. The measures need 20 words or more: below, `score` is the share of
// letters that are a-z, since a few words tell nothing. A text without letters has the score 0.
// How often it errs is measured by tests/data_tools/filters/language_test.cpp.
EnglishScore score_english(std::string_view text);

inline constexpr double kEnglishScore = 0.5;

// Drops a text whose score is below `limit` (figure: the score). Pure.
Verdict language_verdict(std::string_view text, double limit = kEnglishScore);

}  // namespace ovid::data_tools::filters
