#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ovid::data_tools::filters {

// The words by which texts are compared: maximal runs of letters and numbers (\p{L}, \p{N} of
// Unicode 16), lower-cased. Everything else, bytes that are not UTF-8 among it, only parts words,
// but apostrophes, combining accents and zero-width characters vanish: "don't" is "dont".
// Lower-casing takes one character for one and covers Latin, Greek, Cyrillic and Armenian; other
// scripts with case are rare on the web and stay as they are.
// Source of the form: GPT-2 paper, section 4 (lower-cased alphanumeric words, single spaces).

// Replaces `hashes` by a 64-bit hash of each word, in order. One pass; no allocation once `hashes`
// has grown.
void hash_words(std::string_view text, std::vector<std::uint64_t>& hashes);

// The words themselves, with one space between two.
std::string normalised_words(std::string_view text);

// The hash that hash_words gives for a word that is already in the form above.
std::uint64_t hash_of_word(std::string_view word);

// One hash for each run of `length` >= 1 successive words; none where there are fewer words.
// Equal runs have equal hashes; different ones collide with the chance of 64-bit hashes. Replaces
// `ngrams`, which may not alias `words`. O(words).
void hash_ngrams(const std::vector<std::uint64_t>& words, std::size_t length,
                 std::vector<std::uint64_t>& ngrams);

}  // namespace ovid::data_tools::filters
