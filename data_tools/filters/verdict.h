#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace ovid::data_tools::filters {

// Why a document is dropped. The order is that in which the filters are meant to be applied.
enum class Reason : std::uint8_t {
  kEmpty,        // no word at all
  kNotEnglish,   // language.h
  kTooFewWords,  // quality.h, from here to kCurlyBrackets
  kTooManyWords,
  kMeanWordLength,
  kSymbols,
  kBulletLines,
  kEllipsisLines,
  kWordsWithoutLetters,
  kFewStopWords,
  kLoremIpsum,
  kCurlyBrackets,
  kDuplicateLines,  // repetition.h, from here to kRepeatedNgrams
  kDuplicateLineCharacters,
  kTopNgram,
  kRepeatedNgrams,
  kWikipedia,  // wikipedia.h
};
inline constexpr std::size_t kReasons = 17;

// The name for reports: lower case with underscores, such as "not_english".
std::string_view name_of(Reason reason);

// A filter's judgement on a document that it drops: the figure that it measured and the limit that
// the figure passed, in the unit that the filter's header gives.
struct Drop {
  Reason reason;
  double figure = 0;
  double limit = 0;
};

// What a filter returns: nothing for a document that stays.
using Verdict = std::optional<Drop>;

}  // namespace ovid::data_tools::filters
