#include "src/config/number.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

namespace ovid::config {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::string_view without_sign(std::string_view text) {
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  return text;
}

std::size_t digits(std::string_view text) {
  return static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_digit) -
                                  text.begin());
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

// digits [. digits] [e [sign] digits], with a digit on one side of the point at least; nothing for
// another text, else whether it is more than an integer.
std::optional<bool> has_fraction(std::string_view body) {
  const std::size_t whole = digits(body);
  body.remove_prefix(whole);
  std::size_t fraction = 0;
  bool more = false;
  if (body.starts_with('.')) {
    more = true;
    body.remove_prefix(1);
    fraction = digits(body);
    body.remove_prefix(fraction);
  }
  if (whole + fraction == 0) return std::nullopt;
  if (body.starts_with('e') || body.starts_with('E')) {
    more = true;
    body = without_sign(body.substr(1));
    if (body.empty() || digits(body) != body.size()) return std::nullopt;
    return more;
  }
  if (!body.empty()) return std::nullopt;
  return more;
}

// Letters of the longest number (as has_fraction takes it) at the front of an unsigned text.
std::size_t number_length(std::string_view body) {
  std::size_t end = digits(body);
  bool any_digit = end > 0;
  if (end < body.size() && body[end] == '.') {
    const std::size_t fraction = digits(body.substr(end + 1));
    any_digit = any_digit || fraction > 0;
    end += 1 + fraction;
  }
  if (!any_digit) return 0;
  if (end < body.size() && (body[end] == 'e' || body[end] == 'E')) {
    const std::string_view exponent = body.substr(end + 1);
    const std::string_view bare = without_sign(exponent);
    if (digits(bare) > 0) end += 1 + (exponent.size() - bare.size()) + digits(bare);
  }
  return end;
}

template <typename T>
std::optional<T> convert(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

Letters classify(std::string_view text) {
  const std::string_view body = without_sign(text);
  const std::string name = lower(body);
  if (name == ".nan" || name == "nan" || name == ".inf" || name == "inf" || name == "infinity") {
    return Letters::kNotFinite;
  }
  if (body.size() == text.size()) {
    for (const std::string_view word : {"true", "false", "yes", "no", "on", "off", "y", "n"}) {
      if (name == word) return Letters::kBoolean;
    }
  }
  if (name.starts_with("0x") || name.starts_with("0o") || name.starts_with("0b"))
    return Letters::kOtherBase;
  if (!body.empty() && body.find('_') != std::string_view::npos) {
    std::string bare(body);
    std::erase(bare, '_');
    return has_fraction(bare) ? Letters::kUnderscores : Letters::kText;
  }
  const std::optional<bool> fraction = has_fraction(body);
  if (!fraction) {
    const std::size_t whole = digits(body);
    const bool leading_zero = whole > 1 && body[0] == '0';
    const bool scaled = whole > 0 && !leading_zero && scale_of(body.substr(whole));
    return scaled ? Letters::kScaledInteger : Letters::kText;
  }
  if (body.size() > 1 && body[0] == '0' && is_digit(body[1])) return Letters::kLeadingZero;
  return *fraction ? Letters::kNumber : Letters::kInteger;
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  const std::size_t sign = text.size() - without_sign(text).size();
  const std::size_t end = sign + digits(text.substr(sign));
  const std::optional<std::int64_t> value = convert<std::int64_t>(text.substr(0, end));
  if (!value || end == text.size()) return value;
  const std::optional<std::int64_t> scale = scale_of(text.substr(end));
  std::int64_t product = 0;
  if (!scale || __builtin_mul_overflow(*value, *scale, &product)) return std::nullopt;
  return product;
}

std::optional<double> parse_number(std::string_view text) {
  const std::optional<double> value = convert<double>(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

NumberAndRest split_number(std::string_view text) {
  const std::size_t sign = text.size() - without_sign(text).size();
  const std::size_t length = number_length(text.substr(sign));
  if (length == 0) return {{}, text};
  const std::size_t rest = text.find_first_not_of(' ', sign + length);
  return {text.substr(0, sign + length),
          rest == std::string_view::npos ? std::string_view() : text.substr(rest)};
}

std::optional<std::int64_t> scale_of(std::string_view suffix) {
  constexpr std::pair<std::string_view, std::int64_t> kScales[] = {
      {"k", 1'000},  {"M", 1'000'000},  {"G", 1'000'000'000},
      {"Ki", 1'024}, {"Mi", 1'048'576}, {"Gi", 1'073'741'824}};
  for (const auto& [name, scale] : kScales) {
    if (name == suffix) return scale;
  }
  return std::nullopt;
}

}  // namespace ovid::config
