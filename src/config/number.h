#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ovid::config {

// What the letters of a plain scalar are, as far as numbers go. Only the first three are read (10k,
// 64Ki: k, M and G are powers of 1000, Ki, Mi and Gi of 1024); the others exist for a message that
// names the trap: YAML 1.1 reads 012 as ten, 1_000 as a thousand and 1:30 as ninety.
enum class Letters {
  kInteger,
  kNumber,
  kScaledInteger,
  kLeadingZero,
  kUnderscores,
  kOtherBase,
  kNotFinite,
  kBoolean,
  kText
};

Letters classify(std::string_view text);

// Decimal, independent of the locale; nothing where the value does not fit (1e999,
// 99999999999999999999, 10000000000G). An integer may end in k, M, G, Ki, Mi or Gi.
std::optional<std::int64_t> parse_integer(std::string_view text);
std::optional<double> parse_number(std::string_view text);

// The longest number at the front of `text`, and what stands behind it without the spaces between:
// "512 tokens" is {"512", "tokens"}. Both are parts of `text`.
struct NumberAndRest {
  std::string_view number;  // empty where text does not begin with one
  std::string_view rest;
};
NumberAndRest split_number(std::string_view text);

// What the suffix multiplies by; nothing for another text.
std::optional<std::int64_t> scale_of(std::string_view suffix);

}  // namespace ovid::config
