#include "src/config/number_advice.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "src/config/number.h"
#include "src/config/text.h"

namespace ovid::config {
namespace {

constexpr std::string_view kSuffixes = "k, M, G (powers of 1000), Ki, Mi, Gi (of 1024)";

// Letters that are a number but for leading zeros and marks between the digits.
std::string without_marks(std::string_view text, char mark) {
  std::string bare(text);
  std::erase(bare, mark);
  const std::size_t sign = bare.starts_with('-') || bare.starts_with('+') ? 1 : 0;
  while (bare.size() > sign + 1 && bare[sign] == '0' && bare[sign + 1] >= '0' &&
         bare[sign + 1] <= '9') {
    bare.erase(sign, 1);
  }
  return bare;
}

std::string write(std::string_view text) {
  return fmt::format("write {}", printable(text));
}

// `value` for an integer key, where it is whole and no rounding has touched it.
std::optional<std::string> as_integer(double value) {
  if (std::abs(value) >= 1e15 || value != std::floor(value)) return std::nullopt;
  return fmt::format("{}", static_cast<std::int64_t>(value));
}

// 1,000,000 and, for a number, 0,5.
std::optional<NumberAdvice> advise_comma(const Key& key, std::string_view text) {
  const std::size_t first = text.find(',');
  if (first == std::string_view::npos || first == 0) return std::nullopt;
  bool in_thousands = true;
  for (std::size_t at = first; at < text.size(); at += 4) {
    const std::string_view group = text.substr(at + 1, 3);
    in_thousands =
        in_thousands && text[at] == ',' && group.size() == 3 &&
        std::all_of(group.begin(), group.end(), [](char c) { return c >= '0' && c <= '9'; });
  }
  const std::string bare = without_marks(text, ',');
  if (in_thousands && classify(bare) == Letters::kInteger) {
    return NumberAdvice{write(bare), "digits are not grouped here"};
  }
  std::string pointed(text);
  pointed[first] = '.';
  if (key.type == Type::kNumber && classify(pointed) == Letters::kNumber) {
    return NumberAdvice{write(pointed), "decimals stand behind a point, not a comma"};
  }
  return std::nullopt;
}

// What other programs write for the suffixes.
std::string_view known_suffix(std::string_view rest) {
  constexpr std::pair<std::string_view, std::string_view> kSpellings[] = {
      {"K", "k"},   {"m", "M"},   {"g", "G"},        {"b", "G"},       {"B", "G"},
      {"kB", "k"},  {"KB", "k"},  {"MB", "M"},       {"GB", "G"},      {"ki", "Ki"},
      {"mi", "Mi"}, {"gi", "Gi"}, {"KiB", "Ki"},     {"MiB", "Mi"},    {"GiB", "Gi"},
      {"mil", "M"}, {"bn", "G"},  {"thousand", "k"}, {"million", "M"}, {"billion", "G"}};
  if (scale_of(rest)) return rest;
  for (const auto& [spelling, suffix] : kSpellings) {
    if (spelling == rest) return suffix;
  }
  return {};
}

// Whether `word` names what the key counts: its unit, or the last word of its name.
bool names_unit(const Key& key, std::string_view word) {
  const auto same = [&](std::string_view unit) {
    return !unit.empty() &&
           (word == unit || (unit.ends_with('s') && word == unit.substr(0, unit.size() - 1)));
  };
  const std::string_view name = split_path(key.path).second;
  const std::size_t last = name.rfind('_');
  return same(key.unit) || same(last == std::string_view::npos ? name : name.substr(last + 1));
}

NumberAdvice advise_rest(const Key& key, std::string_view number, std::string_view rest) {
  const std::string_view suffix = known_suffix(rest);
  const std::optional<double> value = parse_number(number);
  if (!suffix.empty() && value) {
    const std::optional<std::string> whole =
        as_integer(*value * static_cast<double>(*scale_of(suffix)));
    if (key.type == Type::kInteger && classify(number) == Letters::kInteger) {
      return {fmt::format("write {}{}", number, suffix), fmt::format("suffixes are {}", kSuffixes)};
    }
    if (whole) return {write(*whole), fmt::format("only integers take a suffix: {}", kSuffixes)};
  }
  if (rest == "%" && value && key.type == Type::kNumber) {
    return {fmt::format("write {:.12g}", *value / 100), "shares are fractions here, not percent"};
  }
  if (names_unit(key, rest)) {
    return {write(number),
            key.unit.empty()
                ? "the number stands alone"
                : fmt::format("the unit is always {}; the number stands alone", key.unit)};
  }
  return {{},
          fmt::format(
              "{} behind the number is not read{}", in_backquotes(rest),
              key.unit.empty() ? std::string() : fmt::format("; the unit is always {}", key.unit))};
}

}  // namespace

NumberAdvice advise_number(const Key& key, std::string_view text) {
  switch (classify(text)) {
    case Letters::kLeadingZero:
      return {write(without_marks(text, '_')),
              "numbers are decimal here; YAML 1.1 reads a leading 0 as octal"};
    case Letters::kUnderscores:
      return {write(without_marks(text, '_')), "digits are not grouped here"};
    case Letters::kOtherBase:
      return {"write it in decimal", {}};
    case Letters::kNotFinite:
      return {fmt::format("a finite number, {}", describe_range(key.range)), {}};
    case Letters::kNumber:
      if (const std::optional<double> value = parse_number(text)) {
        if (const auto whole = as_integer(*value)) return {write(*whole), {}};
      }
      return {};
    default:
      break;
  }
  if (const auto advice = advise_comma(key, text)) return *advice;
  const auto [number, rest] = split_number(text);
  // 1:30 and 1/2 are no number with a unit.
  const bool word = !rest.empty() && (rest == "%" || (rest[0] >= 'a' && rest[0] <= 'z') ||
                                      (rest[0] >= 'A' && rest[0] <= 'Z'));
  if (number.empty() || !word) return {};
  return advise_rest(key, number, rest);
}

}  // namespace ovid::config
