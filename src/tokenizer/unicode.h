#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace ovid::tokenizer {

enum class CharacterClass : std::uint8_t { kOther, kLetter, kNumber, kSpace };

// The classes of GPT-2's pattern, \p{L}, \p{N} and \s of Unicode 16, for every code point; kOther
// above U+10FFFF. A two-stage table: blocks of 256 code points, equal blocks stored once.
class CharacterClasses {
 public:
  static const CharacterClasses& instance();  // built from unicode_ranges.h at first use

  CharacterClass of(char32_t code_point) const {
    if (code_point >= 0x110000) return CharacterClass::kOther;
    return blocks_[block_of_[code_point >> 8]][code_point & 0xFF];
  }

 private:
  CharacterClasses();
  using Block = std::array<CharacterClass, 256>;
  std::array<std::uint8_t, 0x1100> block_of_{};
  std::vector<Block> blocks_;
};

}  // namespace ovid::tokenizer
