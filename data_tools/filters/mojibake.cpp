#include "data_tools/filters/mojibake.h"

#include <array>
#include <optional>
#include <utility>

#include "data_tools/filters/code_points.h"
#include "src/tokenizer/utf8.h"

namespace ovid::data_tools::filters {

namespace {

using tokenizer::utf8_step;
using tokenizer::Utf8Step;

// Windows-1252 where it differs from Latin-1: character and byte.
constexpr std::array<std::pair<char32_t, unsigned char>, 27> kWindows1252 = {{
    {0x20AC, 0x80}, {0x201A, 0x82}, {0x0192, 0x83}, {0x201E, 0x84}, {0x2026, 0x85}, {0x2020, 0x86},
    {0x2021, 0x87}, {0x02C6, 0x88}, {0x2030, 0x89}, {0x0160, 0x8A}, {0x2039, 0x8B}, {0x0152, 0x8C},
    {0x017D, 0x8E}, {0x2018, 0x91}, {0x2019, 0x92}, {0x201C, 0x93}, {0x201D, 0x94}, {0x2022, 0x95},
    {0x2013, 0x96}, {0x2014, 0x97}, {0x02DC, 0x98}, {0x2122, 0x99}, {0x0161, 0x9A}, {0x203A, 0x9B},
    {0x0153, 0x9C}, {0x017E, 0x9E}, {0x0178, 0x9F},
}};

// The byte that is read as this character, of those above 7F.
std::optional<unsigned char> byte_of(char32_t c) {
  if (c >= 0x80 && c <= 0xFF) return static_cast<unsigned char>(c);
  for (const auto& [character, byte] : kWindows1252) {
    if (character == c) return byte;
  }
  return std::nullopt;
}

bool is_quotation_mark_or_dash(char32_t c) {
  return (c >= 0x2018 && c <= 0x201E) || c == 0x2013 || c == 0x2014 || c == 0x2026;
}

// `last` is the character that stands for the last byte.
bool is_put_right(char32_t c, char32_t last) {
  // A control is part of a text that Latin-1 encoded twice too often.
  if (c >= 0x80 && c < 0xA0) return last == c;
  return (c >= 0xA0 && c <= 0xFF) || (c >= 0x2000 && c <= 0x2BFF) || c == 0xFEFF || c == 0xFFFD ||
         (c >= 0x1F000 && c <= 0x1FAFF);
}

struct Repair {
  char32_t character;
  std::size_t length;  // bytes of the run
};

// The repair of the run that begins at `offset` with a character of `lead`.
std::optional<Repair> repair_at(std::string_view text, std::size_t offset, const Utf8Step& lead) {
  const auto first = static_cast<unsigned char>(lead.code_point);
  const std::size_t bytes = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  std::string encoded(1, static_cast<char>(first));
  std::size_t end = offset + lead.length;
  char32_t last = 0;
  while (encoded.size() < bytes) {
    if (end >= text.size()) return std::nullopt;
    const Utf8Step step = utf8_step(text, end);
    const auto byte = step.valid ? byte_of(step.code_point) : std::nullopt;
    if (!byte || *byte < 0x80 || *byte > 0xBF) return std::nullopt;
    encoded += static_cast<char>(*byte);
    last = step.code_point;
    end += step.length;
  }
  const Utf8Step decoded = utf8_step(encoded, 0);
  if (!decoded.valid || decoded.length != bytes || !is_put_right(decoded.code_point, last)) {
    return std::nullopt;
  }
  const bool follows_capital = offset > 0 && text[offset - 1] >= 'A' && text[offset - 1] <= 'Z';
  if (bytes == 2 && follows_capital && is_quotation_mark_or_dash(last)) return std::nullopt;
  return Repair{decoded.code_point, end - offset};
}

}  // namespace

std::string repair_mojibake(std::string_view text, std::uint64_t& repaired) {
  // The leads are Â, Ã, â, ï and ð: C2, C3, E2, EF and F0 read as characters, whose UTF-8 begins
  // with C3.
  std::string out;
  std::size_t copied = 0;
  for (std::size_t i = text.find('\xC3'); i != std::string_view::npos; i = text.find('\xC3', i)) {
    const Utf8Step step = utf8_step(text, i);
    const bool is_lead = step.valid && (step.code_point == 0xC2 || step.code_point == 0xC3 ||
                                        step.code_point == 0xE2 || step.code_point == 0xEF ||
                                        step.code_point == 0xF0);
    const auto repair = is_lead ? repair_at(text, i, step) : std::nullopt;
    if (!repair) {
      i += step.length;
      continue;
    }
    out += text.substr(copied, i - copied);
    append_utf8(repair->character, out);
    i += repair->length;
    copied = i;
    ++repaired;
  }
  out += text.substr(copied);
  return out;
}

}  // namespace ovid::data_tools::filters
