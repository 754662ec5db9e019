#include "data_tools/review.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace ovid::data_tools {
namespace {

constexpr std::size_t kLongestCategory = 64;

bool is_space(unsigned char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

void append_utf8(char32_t code, std::string& out) {
  const auto byte = [&](char32_t value) { out += static_cast<char>(value); };
  if (code < 0x80) {
    byte(code);
  } else if (code < 0x800) {
    byte(0xC0 | (code >> 6));
    byte(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    byte(0xE0 | (code >> 12));
    byte(0x80 | ((code >> 6) & 0x3F));
    byte(0x80 | (code & 0x3F));
  } else {
    byte(0xF0 | (code >> 18));
    byte(0x80 | ((code >> 12) & 0x3F));
    byte(0x80 | ((code >> 6) & 0x3F));
    byte(0x80 | (code & 0x3F));
  }
}

// Decodes the reference at the front of `text` ("&amp;..."): its length, or 0 where it is none.
std::size_t append_reference(std::string_view text, std::string& out) {
  constexpr std::size_t kLongest = 10;
  const std::size_t end = text.substr(0, kLongest).find(';');
  if (end == std::string_view::npos || end < 2) return 0;
  std::string_view name = text.substr(1, end - 1);
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kNames{
      {{"amp", "&"}, {"lt", "<"}, {"gt", ">"}, {"quot", "\""}, {"apos", "'"}, {"nbsp", " "}}};
  for (const auto& [known, character] : kNames) {
    if (name != known) continue;
    out += character;
    return end + 1;
  }
  if (name.front() != '#') return 0;
  name.remove_prefix(1);
  const bool hexadecimal = name.starts_with('x') || name.starts_with('X');
  if (hexadecimal) name.remove_prefix(1);
  std::uint32_t code = 0;
  const auto [last, error] =
      std::from_chars(name.data(), name.data() + name.size(), code, hexadecimal ? 16 : 10);
  const bool whole = error == std::errc() && last == name.data() + name.size();
  const bool surrogate = code >= 0xD800 && code < 0xE000;
  if (!whole || code == 0 || code > 0x10FFFF || surrogate) return 0;
  append_utf8(code, out);
  return end + 1;
}

// The length of <br>, <br/> or <br /> at the front of `text`, in either case; 0 where it is none.
std::size_t break_tag(std::string_view text) {
  if (text.size() < 4 || lower(text[1]) != 'b' || lower(text[2]) != 'r') return 0;
  std::size_t i = 3;
  while (i < text.size() && text[i] == ' ') ++i;
  if (i < text.size() && text[i] == '/') ++i;
  return i < text.size() && text[i] == '>' ? i + 1 : 0;
}

// Collapses white space; a run with a line end in it becomes one, or two where it has two.
std::string collapse(std::string_view text) {
  std::string out;
  int line_ends = 0;
  bool space = false;
  for (const char c : text) {
    if (is_space(static_cast<unsigned char>(c))) {
      space = true;
      line_ends += c == '\n' ? 1 : 0;
      continue;
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) continue;
    if (space && !out.empty()) out += line_ends == 0 ? " " : line_ends == 1 ? "\n" : "\n\n";
    space = false;
    line_ends = 0;
    out += c;
  }
  return out;
}

}  // namespace

std::string clean_review_text(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t length = 0;
    if (text[i] == '&') length = append_reference(text.substr(i), out);
    if (text[i] == '<') {
      length = break_tag(text.substr(i));
      if (length > 0) out += '\n';
    }
    if (length == 0) {
      // A lone carriage return ends a line too.
      const bool carriage = text[i] == '\r' && (i + 1 == text.size() || text[i + 1] != '\n');
      out += carriage ? '\n' : text[i];
      length = 1;
    }
    i += length;
  }
  return collapse(out);
}

std::string clean_review_line(std::string_view text) {
  std::string line = clean_review_text(text);
  std::replace(line.begin(), line.end(), '\n', ' ');
  return collapse(line);
}

std::string repeated_text_key(const Review& cleaned) {
  std::string key;
  for (const char c : cleaned.body) {
    const auto byte = static_cast<unsigned char>(c);
    const bool letter = (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9');
    if (letter || byte >= 0x80) key += lower(c);
  }
  return key.empty() ? cleaned.body : key;
}

bool is_empty_review(const Review& cleaned) {
  return cleaned.body.empty();
}

std::optional<std::string> clean_category(std::string_view name) {
  std::string cleaned = clean_review_line(name);
  if (cleaned.empty() || cleaned.size() > kLongestCategory ||
      cleaned.find_first_of("<>|") != std::string::npos) {
    return std::nullopt;
  }
  return cleaned;
}

}  // namespace ovid::data_tools
