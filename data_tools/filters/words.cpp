#include "data_tools/filters/words.h"

#include <array>
#include <cstddef>
#include <span>

#include "data_tools/filters/code_points.h"
#include "src/core/checksum.h"
#include "src/tokenizer/unicode.h"
#include "src/tokenizer/utf8.h"

namespace ovid::data_tools::filters {

namespace {

using tokenizer::CharacterClass;

constexpr unsigned char kParts = 0;
constexpr unsigned char kVanishes = 1;
constexpr unsigned char kBeyondAscii = 2;  // any other value: the lower-case character

constexpr std::array<unsigned char, 256> kFolded = [] {
  std::array<unsigned char, 256> table{};
  for (std::size_t c = 0x80; c < 0x100; ++c) table[c] = kBeyondAscii;
  for (unsigned char c = '0'; c <= '9'; ++c) table[c] = c;
  for (unsigned char c = 'a'; c <= 'z'; ++c) table[c] = c;
  for (unsigned char c = 'A'; c <= 'Z'; ++c) table[c] = static_cast<unsigned char>(c + 32);
  table['\''] = kVanishes;
  return table;
}();

bool is_in(char32_t c, char32_t first, char32_t last) {
  return first <= c && c <= last;
}

char32_t lower_latin_extended(char32_t c) {
  if (c == 0x130) return 'i';
  if (c == 0x178) return 0xFF;
  const bool upper_is_odd = is_in(c, 0x139, 0x148) || is_in(c, 0x179, 0x17E);
  const bool is_pair = upper_is_odd || is_in(c, 0x100, 0x137) || is_in(c, 0x14A, 0x177);
  return is_pair && (c % 2 == 1) == upper_is_odd ? c + 1 : c;
}

char32_t lower_greek(char32_t c) {
  if (is_in(c, 0x391, 0x3AB) && c != 0x3A2) return c + 0x20;
  if (c == 0x386) return 0x3AC;
  if (is_in(c, 0x388, 0x38A)) return c + 0x25;
  if (c == 0x38C) return 0x3CC;
  if (is_in(c, 0x38E, 0x38F)) return c + 0x3F;
  return c;
}

char32_t lower_cyrillic(char32_t c) {
  if (is_in(c, 0x400, 0x40F)) return c + 0x50;
  if (is_in(c, 0x410, 0x42F)) return c + 0x20;
  const bool is_pair = is_in(c, 0x460, 0x481) || is_in(c, 0x48A, 0x4BF) || is_in(c, 0x4D0, 0x52F);
  return is_pair && c % 2 == 0 ? c + 1 : c;
}

char32_t lower(char32_t c) {
  if (is_in(c, 0xC0, 0xDE) && c != 0xD7) return c + 0x20;
  if (is_in(c, 0x100, 0x17F)) return lower_latin_extended(c);
  if (is_in(c, 0x386, 0x3AB)) return lower_greek(c);
  if (is_in(c, 0x400, 0x52F)) return lower_cyrillic(c);
  if (is_in(c, 0x531, 0x556)) return c + 0x30;
  if ((is_in(c, 0x1E00, 0x1E95) || is_in(c, 0x1EA0, 0x1EFF)) && c % 2 == 0) return c + 1;
  return c;
}

bool vanishes(char32_t c) {  // combining marks, zero-width characters, the other apostrophe
  return is_in(c, 0x300, 0x36F) || is_in(c, 0x200B, 0x200D) || c == 0x2019 || c == 0xAD;
}

// The word that is being read. Room is made for a run of bytes at once: a string's own check of its
// capacity at each byte would take longer than all else.
class WordBuffer {
 public:
  void put_folded(std::string_view run) {
    if (length_ + run.size() > bytes_.size()) bytes_.resize(2 * (length_ + run.size()));
    char* out = bytes_.data() + length_;
    for (const char c : run) *out++ = static_cast<char>(kFolded[static_cast<unsigned char>(c)]);
    length_ += run.size();
  }
  void put(char32_t c) {
    bytes_.resize(length_);
    append_utf8(c, bytes_);
    length_ = bytes_.size();
  }
  std::string_view word() const { return {bytes_.data(), length_}; }
  void clear() { length_ = 0; }

 private:
  std::string bytes_;
  std::size_t length_ = 0;
};

// Calls visit(word) for each word, in a buffer that the next one overwrites.
template <class Visit>
void for_each_word(std::string_view text, const Visit& visit) {
  const tokenizer::CharacterClasses& classes = tokenizer::CharacterClasses::instance();
  WordBuffer word;
  const auto part = [&] {
    if (!word.word().empty()) visit(word.word());
    word.clear();
  };
  for (std::size_t i = 0; i < text.size();) {
    const unsigned char folded = kFolded[static_cast<unsigned char>(text[i])];
    if (folded > kBeyondAscii) {
      const std::size_t begin = i++;
      while (i < text.size() && kFolded[static_cast<unsigned char>(text[i])] > kBeyondAscii) ++i;
      word.put_folded(text.substr(begin, i - begin));
      continue;
    }
    if (folded != kBeyondAscii) {
      if (folded == kParts) part();
      ++i;
      continue;
    }
    const tokenizer::Utf8Step step = tokenizer::utf8_step(text, i);
    i += step.length;
    const CharacterClass kind = step.valid ? classes.of(step.code_point) : CharacterClass::kOther;
    if (kind == CharacterClass::kLetter || kind == CharacterClass::kNumber) {
      word.put(lower(step.code_point));
    } else if (!step.valid || !vanishes(step.code_point)) {
      part();
    }
  }
  part();
}

std::uint64_t mix(std::uint64_t x) {  // the finaliser of MurmurHash3: a bijection
  x = (x ^ (x >> 33)) * 0xFF51AFD7ED558CCDull;
  x = (x ^ (x >> 33)) * 0xC4CEB9FE1A85EC53ull;
  return x ^ (x >> 33);
}

}  // namespace

std::uint64_t hash_of_word(std::string_view word) {
  return hash64(std::as_bytes(std::span(word)));
}

void hash_words(std::string_view text, std::vector<std::uint64_t>& hashes) {
  hashes.clear();
  for_each_word(text, [&](std::string_view word) { hashes.push_back(hash_of_word(word)); });
}

std::string normalised_words(std::string_view text) {
  std::string words;
  for_each_word(text, [&](std::string_view word) {
    if (!words.empty()) words += ' ';
    words += word;
  });
  return words;
}

void hash_ngrams(const std::vector<std::uint64_t>& words, std::size_t length,
                 std::vector<std::uint64_t>& ngrams) {
  ngrams.clear();
  if (length == 0 || words.size() < length) return;
  ngrams.reserve(words.size() - length + 1);
  // A polynomial in the words' hashes modulo 2^64, rolled on. Its base is 3 modulo 8, so that
  // base^k - 1 has few factors of two and words that change places change the value.
  constexpr std::uint64_t kBase = 0x9E3779B97F4A7C13ull;
  std::uint64_t top = 1;  // kBase^(length - 1)
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < length; ++i) {
    if (i > 0) top *= kBase;
    value = value * kBase + words[i];
  }
  ngrams.push_back(mix(value));
  for (std::size_t i = length; i < words.size(); ++i) {
    value = (value - words[i - length] * top) * kBase + words[i];
    ngrams.push_back(mix(value));
  }
}

}  // namespace ovid::data_tools::filters
