#include "src/tokenizer/unicode.h"

#include <algorithm>
#include <cassert>
#include <span>

#include "src/tokenizer/unicode_ranges.h"

namespace ovid::tokenizer {
namespace {

constexpr std::size_t kCodePoints = 0x110000;

void mark(std::span<CharacterClass> classes, std::span<const CodePointRange> ranges,
          CharacterClass value) {
  for (const CodePointRange& range : ranges) {
    for (std::uint32_t code_point = range.first; code_point <= range.last; ++code_point) {
      classes[code_point] = value;
    }
  }
}

}  // namespace

const CharacterClasses& CharacterClasses::instance() {
  static const CharacterClasses classes;
  return classes;
}

CharacterClasses::CharacterClasses() {
  std::vector<CharacterClass> flat(kCodePoints, CharacterClass::kOther);
  mark(flat, kLetterRanges, CharacterClass::kLetter);
  mark(flat, kNumberRanges, CharacterClass::kNumber);
  mark(flat, kSpaceRanges, CharacterClass::kSpace);
  for (std::size_t number = 0; number < block_of_.size(); ++number) {
    Block block;
    std::copy_n(flat.begin() + static_cast<std::ptrdiff_t>(number * block.size()), block.size(),
                block.begin());
    const auto known = std::find(blocks_.begin(), blocks_.end(), block);
    block_of_[number] = static_cast<std::uint8_t>(known - blocks_.begin());
    if (known == blocks_.end()) blocks_.push_back(block);
  }
  assert(blocks_.size() <= 256);
}

}  // namespace ovid::tokenizer
