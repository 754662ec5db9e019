#include "src/tokenizer/utf8.h"

#include <cstring>

namespace ovid::tokenizer {
namespace {

// What may follow a first byte: how many bytes, and the bounds of the second one (which rule out
// overlong forms, surrogates and what lies above U+10FFFF).
struct Lead {
  std::uint32_t length;
  unsigned char second_low, second_high;
};

Lead lead_of(unsigned char byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

// Bytes below 0x80 at the front of text[offset...], eight at a time.
std::size_t ascii_length(std::string_view text, std::size_t offset) {
  std::size_t end = offset;
  for (std::uint64_t word = 0; text.size() - end >= sizeof word; end += sizeof word) {
    std::memcpy(&word, text.data() + end, sizeof word);
    if ((word & 0x8080808080808080u) != 0) break;
  }
  while (end < text.size() && static_cast<unsigned char>(text[end]) < 0x80) ++end;
  return end - offset;
}

}  // namespace

Utf8Step utf8_step(std::string_view text, std::size_t offset) {
  const auto first = static_cast<unsigned char>(text[offset]);
  const Lead lead = lead_of(first);
  if (lead.length == 1) return {first, 1, true, false};
  if (lead.length == 0) return {0, 1, false, false};
  char32_t code_point = first & (0x7Fu >> lead.length);
  for (std::uint32_t i = 1; i < lead.length; ++i) {
    if (offset + i == text.size()) return {0, i, false, true};
    const auto byte = static_cast<unsigned char>(text[offset + i]);
    const unsigned char low = i == 1 ? lead.second_low : 0x80;
    const unsigned char high = i == 1 ? lead.second_high : 0xBF;
    if (byte < low || byte > high) return {0, i, false, false};
    code_point = (code_point << 6) | (byte & 0x3Fu);
  }
  return {code_point, lead.length, true, false};
}

std::optional<std::size_t> find_invalid_utf8(std::string_view text) {
  std::size_t offset = 0;
  while (true) {
    offset += ascii_length(text, offset);
    if (offset == text.size()) return std::nullopt;
    const Utf8Step step = utf8_step(text, offset);
    if (!step.valid) return offset;
    offset += step.length;
  }
}

ReplacedText replace_invalid_utf8(std::string_view text) {
  ReplacedText out;
  out.text.reserve(text.size());
  while (!text.empty()) {
    const std::size_t valid = find_invalid_utf8(text).value_or(text.size());
    out.text += text.substr(0, valid);
    text.remove_prefix(valid);
    if (text.empty()) break;
    out.text += "\uFFFD";
    ++out.replacements;
    text.remove_prefix(utf8_step(text, 0).length);
  }
  return out;
}

}  // namespace ovid::tokenizer
