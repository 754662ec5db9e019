#include <fmt/format.h>

#include <algorithm>

#include "src/config/number.h"
#include "src/config/text.h"
#include "src/config/value.h"

namespace ovid::config {
namespace {

// Whether the letters are that text in every YAML reader without quotes.
bool needs_no_quotes(std::string_view text) {
  if (text.empty() || classify(text) != Letters::kText || text == "null" || text == "Null" ||
      text == "NULL") {
    return false;
  }
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (!is_letter(text.front()) && text.front() != '/') return false;
  for (const char c : text) {
    const bool plain = is_letter(c) || (c >= '0' && c <= '9') ||
                       std::string_view("_-./*").find(c) != std::string_view::npos;
    if (!plain) return false;
  }
  return true;
}

std::string text_to_yaml(std::string_view text) {
  if (needs_no_quotes(text)) return std::string(text);
  std::string out = "\"";
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = std::max<std::size_t>(1, utf8_length(text.substr(i)));
    const std::string_view character = text.substr(i, length);
    if (character == "\"" || character == "\\") {
      out += fmt::format("\\{}", character);
    } else if (character == "\n") {
      out += "\\n";
    } else if (character == "\xef\xbb\xbf") {
      out += "\\uFEFF";  // a byte order mark, which readers drop
    } else if (is_control(character)) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(character.back()));
    } else {
      out += character;
    }
    i += length;
  }
  return out + "\"";
}

std::string number_to_yaml(double value) {
  const std::string out = fmt::format("{}", value);
  // YAML 1.1 readers take 1e-08 for a text: a number of theirs has a point.
  const std::size_t exponent = out.find('e');
  if (out.find('.') != std::string::npos) return out;
  return exponent == std::string::npos ? out + ".0"
                                       : out.substr(0, exponent) + ".0" + out.substr(exponent);
}

struct YamlWriter {
  std::string operator()(std::monostate) const { return "null"; }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::int64_t value) const { return fmt::format("{}", value); }
  std::string operator()(double value) const { return number_to_yaml(value); }
  std::string operator()(const std::string& value) const { return text_to_yaml(value); }
  std::string operator()(const std::vector<double>& value) const {
    std::vector<std::string> items;
    for (const double item : value) items.push_back(number_to_yaml(item));
    return fmt::format("[{}]", fmt::join(items, ", "));
  }
  std::string operator()(const std::vector<std::string>& value) const {
    std::vector<std::string> items;
    for (const std::string& item : value) items.push_back(text_to_yaml(item));
    return fmt::format("[{}]", fmt::join(items, ", "));
  }
};

}  // namespace

std::string to_yaml(const Value& value) {
  return std::visit(YamlWriter{}, value);
}

}  // namespace ovid::config
