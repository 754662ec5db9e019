#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ovid::tokenizer {

// GPT-2's files write each byte as one printable character, so that tokens are words without
// spaces: the 188 printable Latin-1 characters stand for themselves, the other 68 bytes, in order,
// are U+0100 to U+0143. Source: Radford et al. 2019, published code.

// The byte with the n-th smallest character, n in [0, 256): GPT-2's ids of single bytes.
unsigned char byte_of_rank(int rank);

// How a token of those bytes stands in a file (UTF-8).
std::string to_byte_alphabet(std::string_view bytes);

// The bytes behind such a token; nothing where a character is not of the alphabet.
std::optional<std::string> from_byte_alphabet(std::string_view token);

}  // namespace ovid::tokenizer
