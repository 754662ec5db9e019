#include "src/config/text.h"

#include <algorithm>

namespace ovid::config {
namespace {

unsigned byte_at(std::string_view text, std::size_t i) {
  return static_cast<unsigned char>(text[i]);
}

}  // namespace

std::size_t utf8_length(std::string_view text) {
  if (text.empty()) return 0;
  const unsigned first = byte_at(text, 0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte_at(text, i) & 0xc0) != 0x80) return 0;
  }
  const unsigned second = byte_at(text, 1);
  if (first == 0xe0 && second < 0xa0) return 0;  // overlong
  if (first == 0xed && second > 0x9f) return 0;  // surrogates
  if (first == 0xf0 && second < 0x90) return 0;  // overlong
  if (first == 0xf4 && second > 0x8f) return 0;  // above U+10FFFF
  return length;
}

std::size_t count_characters(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < text.size(); ++count) {
    i += std::max<std::size_t>(1, utf8_length(text.substr(i)));
  }
  return count;
}

bool is_control(std::string_view character) {
  const unsigned first = byte_at(character, 0);
  if (character.size() == 1) return first < 0x20 || first == 0x7f;
  return first == 0xc2 && byte_at(character, 1) < 0xa0;
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text.substr(i));
    if (length == 0) {
      out += '?';
      ++i;
      continue;
    }
    const std::string_view character = text.substr(i, length);
    if (character == "\t") {
      out += ' ';
    } else if (is_control(character)) {
      out += '?';
    } else {
      out += character;
    }
    i += length;
  }
  return out;
}

std::string in_backquotes(std::string_view text) {
  constexpr std::size_t kMost = 60;
  std::string clean = printable(text);
  std::size_t end = 0;
  for (std::size_t i = 0; i < kMost && end < clean.size(); ++i) {
    end += utf8_length(std::string_view(clean).substr(end));
  }
  const bool cut = end < clean.size();
  clean.resize(end);
  return "`" + clean + (cut ? "...`" : "`");
}

}  // namespace ovid::config
