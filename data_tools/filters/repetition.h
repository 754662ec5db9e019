#pragma once

#include <array>
#include <string_view>

#include "data_tools/filters/verdict.h"

namespace ovid::data_tools::filters {

// Largest shares of a text that may be repetition. Source: Rae et al. 2021 (Gopher), table A1. A
// limit of 1 turns a rule off.
struct RepetitionLimits {
  double duplicate_lines = 0.30;            // of the lines that are not blank
  double duplicate_line_characters = 0.20;  // of the bytes of those lines
  std::array<double, 3> top_ngram = {0.20, 0.18,
                                     0.16};  // of the bytes, by the commonest 2-, 3-, 4-gram
  std::array<double, 6> repeated_ngrams = {0.15, 0.14, 0.13,
                                           0.12, 0.11, 0.10};  // by all repeated 5- to 10-grams
};

struct RepetitionFigures {
  double duplicate_lines = 0;
  double duplicate_line_characters = 0;
  std::array<double, 3> top_ngram{};
  std::array<double, 6> repeated_ngrams{};
};

// The figures of a text; n-grams are of words as white space parts them, and bytes those of the
// words. Each byte counts once, however many repeated n-grams cover it.
// O(bytes) time and memory.
RepetitionFigures measure_repetition(std::string_view text);

// The first rule that the text breaks, in the order of RepetitionLimits. Pure.
Verdict repetition_verdict(std::string_view text, const RepetitionLimits& limits = {});

}  // namespace ovid::data_tools::filters
