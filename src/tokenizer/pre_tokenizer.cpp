#include "src/tokenizer/pre_tokenizer.h"

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "src/tokenizer/unicode.h"
#include "src/tokenizer/utf8.h"

namespace ovid::tokenizer {
namespace {

// The classes of ASCII, so that most text never touches the large table. Bytes from 0x80 on: see
// character_at.
constexpr std::array<CharacterClass, 128> kAsciiClasses = [] {
  std::array<CharacterClass, 128> classes{};  // kOther
  for (int c = '0'; c <= '9'; ++c) classes[c] = CharacterClass::kNumber;
  for (int c = 'A'; c <= 'Z'; ++c) classes[c] = classes[c - 'A' + 'a'] = CharacterClass::kLetter;
  for (int c = '\t'; c <= '\r'; ++c) classes[c] = CharacterClass::kSpace;
  classes[' '] = CharacterClass::kSpace;
  return classes;
}();

struct Character {
  CharacterClass kind;
  std::size_t length;  // bytes
};

Character character_at(std::string_view text, std::size_t at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte < 0x80) return {kAsciiClasses[byte], 1};
  const Utf8Step step = utf8_step(text, at);
  return {step.valid ? CharacterClasses::instance().of(step.code_point) : CharacterClass::kOther,
          step.length};
}

// How many of the eight bytes at `bytes` are ASCII letters before the first that is none. A word
// has rarely more than eight letters, and eight at a time leave the processor one branch to guess
// instead of one a letter.
std::size_t leading_letters(const char* bytes) {
  constexpr std::uint64_t kEach = 0x0101010101010101u, kHigh = 0x80 * kEach;
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  const std::uint64_t lower = (word | 0x20 * kEach) & ~kHigh;
  // The high bit of a byte tells whether it is at least 'a', and whether it is above 'z'; no sum
  // carries.
  const std::uint64_t from_a = lower + (0x80 - 'a') * kEach,
                      above_z = lower + (0x80 - 'z' - 1) * kEach;
  const std::uint64_t not_letter = ~(from_a & ~above_z & ~word) & kHigh;
  return static_cast<std::size_t>(std::countr_zero(not_letter)) / 8;  // of zero: 64, thus 8
}

// End of the run of characters of class `kind` from `at` on.
std::size_t run_end(std::string_view text, std::size_t at, CharacterClass kind) {
  if (kind == CharacterClass::kLetter) {
    while (text.size() - at >= 8) {
      const std::size_t letters = leading_letters(text.data() + at);
      at += letters;
      if (letters < 8) break;
    }
  }
  while (at < text.size()) {
    const Character next = character_at(text, at);
    if (next.kind != kind) break;
    at += next.length;
  }
  return at;
}

// Length of 's 't 'm 'd 're 've 'll at an apostrophe; 0 where none stands there.
std::size_t contraction_length(std::string_view text, std::size_t apostrophe) {
  if (apostrophe + 1 >= text.size()) return 0;
  const char first = text[apostrophe + 1];
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if (apostrophe + 2 >= text.size()) return 0;
  const char second = text[apostrophe + 2];
  const bool two_letters = (first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
                           (first == 'l' && second == 'l');
  return two_letters ? 3 : 0;
}

// White space at `begin` that does not lead into a word. All of it at the end of the text;
// otherwise its last character is left to the next piece, unless it is the only one.
std::size_t space_end(std::string_view text, std::size_t begin) {
  std::size_t last = begin, end = begin;
  while (end < text.size()) {
    const Character next = character_at(text, end);
    if (next.kind != CharacterClass::kSpace) return last > begin ? last : end;
    last = end;
    end += next.length;
  }
  return end;
}

}  // namespace

std::size_t piece_end(std::string_view text, std::size_t begin) {
  if (text[begin] == '\'') {
    const std::size_t length = contraction_length(text, begin);
    if (length > 0) return begin + length;
  }
  Character first = character_at(text, begin);
  std::size_t at = begin;
  if (text[begin] == ' ' && begin + 1 < text.size()) {
    const Character second = character_at(text, begin + 1);
    if (second.kind != CharacterClass::kSpace) {
      first = second;
      ++at;
    }
  }
  if (first.kind == CharacterClass::kSpace) return space_end(text, begin);
  return run_end(text, at + first.length, first.kind);
}

}  // namespace ovid::tokenizer
