#include "src/tokenizer/byte_alphabet.h"

#include <array>

#include "src/tokenizer/utf8.h"

namespace ovid::tokenizer {
namespace {

constexpr int kPrintable = 188;
constexpr char32_t kFirstStandIn = 0x100;

constexpr bool is_printable(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<unsigned char, 256> byte_of_rank{};
  std::array<char32_t, 256> character_of_byte{};
};

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  int printable = 0, other = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const int rank = is_printable(byte) ? printable++ : kPrintable + other++;
    alphabet.byte_of_rank[rank] = static_cast<unsigned char>(byte);
    alphabet.character_of_byte[byte] = static_cast<char32_t>(
        is_printable(byte) ? byte : static_cast<int>(kFirstStandIn) + rank - kPrintable);
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

unsigned char byte_of_rank(int rank) {
  return kAlphabet.byte_of_rank[rank];
}

std::string to_byte_alphabet(std::string_view bytes) {
  std::string token;
  for (const char c : bytes) {
    const char32_t character = kAlphabet.character_of_byte[static_cast<unsigned char>(c)];
    if (character < 0x80) {
      token += static_cast<char>(character);
    } else {  // all of the alphabet is below U+0800: two bytes
      token += static_cast<char>(0xC0 | (character >> 6));
      token += static_cast<char>(0x80 | (character & 0x3F));
    }
  }
  return token;
}

std::optional<std::string> from_byte_alphabet(std::string_view token) {
  std::string bytes;
  for (std::size_t at = 0; at < token.size();) {
    const Utf8Step step = utf8_step(token, at);
    const char32_t character = step.code_point;
    if (!step.valid) return std::nullopt;
    if (character < kFirstStandIn && is_printable(static_cast<int>(character))) {
      bytes += static_cast<char>(character);
    } else if (character >= kFirstStandIn && character < kFirstStandIn + 256 - kPrintable) {
      bytes += static_cast<char>(kAlphabet.byte_of_rank[kPrintable + (character - kFirstStandIn)]);
    } else {
      return std::nullopt;
    }
    at += step.length;
  }
  return bytes;
}

}  // namespace ovid::tokenizer
