#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ovid::config {

// What the letters of a plain scalar are, as far as numbers go. Only kInteger and kNumber are read;
// the others exist for a message that names the trap: YAML 1.1 reads 012 as ten, 1_000 as a
// thousand and 1:30 as ninety.
enum class Letters {
  kInteger,
  kNumber,
  kLeadingZero,
  kUnderscores,
  kOtherBase,
  kNotFinite,
  kBoolean,
  kText
};

Letters classify(std::string_view text);

// Decimal, independent of the locale; nothing where the value does not fit (1e999,
// 99999999999999999999).
std::optional<std::int64_t> parse_integer(std::string_view text);
std::optional<double> parse_number(std::string_view text);

}  // namespace ovid::config
