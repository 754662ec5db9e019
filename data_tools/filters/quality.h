#pragma once

#include <string_view>

#include "data_tools/filters/verdict.h"

namespace ovid::data_tools::filters {

// Limits of the rules. Sources: Rae et al. 2021 (Gopher), table A1 and section A.1.1; Raffel et al.
// 2020 (C4), section 2.2. A minimum of 0 and a maximum of infinity turn a rule off.
struct QualityLimits {
  double min_words = 50;
  double max_words = 100000;
  double min_mean_word_length = 3;  // characters
  double max_mean_word_length = 10;
  double max_symbols_per_word = 0.1;          // '#', and ellipses, each against the words
  double max_bullet_lines = 0.9;              // share of the lines
  double max_ellipsis_lines = 0.3;            // share of the lines
  double min_words_with_letters = 0.8;        // share of the words
  double min_stop_words = 2;                  // different ones of: the be to of and that have with
  double max_lorem_ipsum = 0;                 // 1 where the filler text stands somewhere
  double max_curly_brackets_per_word = 0.02;  // C4 drops a page for one, as code; here a share
};

// The first rule that the text breaks, in the order of Reason; words are what white space parts.
// Figure and limit are in the units above. Pure; two passes.
Verdict quality_verdict(std::string_view text, const QualityLimits& limits = {});

}  // namespace ovid::data_tools::filters
