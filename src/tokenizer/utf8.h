#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ovid::tokenizer {

// One step through bytes that claim to be UTF-8.
struct Utf8Step {
  char32_t code_point;  // meaningful where valid
  std::uint32_t
      length;  // bytes to go on by: of the character, or of the maximal bad subpart (1 to 3)
  bool valid;
  bool cut;  // not valid only because the text ends here: more bytes could complete the character
};

// The character or maximal bad subpart at `offset` < text.size(). Overlong forms, surrogates and
// code points above U+10FFFF are bad. Source: The Unicode Standard 16, table 3-7 and "U+FFFD
// substitution of maximal subparts" (3.9).
Utf8Step utf8_step(std::string_view text, std::size_t offset);

// Offset of the first byte that is not part of a well-formed character; nothing where all of `text`
// is UTF-8.
std::optional<std::size_t> find_invalid_utf8(std::string_view text);

struct ReplacedText {
  std::string text;
  std::size_t replacements = 0;
};

// `text` with U+FFFD in place of each maximal bad subpart: what Python's
// bytes.decode(errors="replace") gives.
ReplacedText replace_invalid_utf8(std::string_view text);

}  // namespace ovid::tokenizer
