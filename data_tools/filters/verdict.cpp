#include "data_tools/filters/verdict.h"

#include <array>

namespace ovid::data_tools::filters {

std::string_view name_of(Reason reason) {
  static constexpr std::array<std::string_view, kReasons> kNames = {
      "empty",
      "not_english",
      "too_few_words",
      "too_many_words",
      "mean_word_length",
      "symbols",
      "bullet_lines",
      "ellipsis_lines",
      "words_without_letters",
      "few_stop_words",
      "lorem_ipsum",
      "curly_brackets",
      "duplicate_lines",
      "duplicate_line_characters",
      "top_ngram",
      "repeated_ngrams",
      "wikipedia",
  };
  return kNames.at(static_cast<std::size_t>(reason));
}

}  // namespace ovid::data_tools::filters
