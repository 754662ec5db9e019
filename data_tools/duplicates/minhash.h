#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace ovid::data_tools::duplicates {

inline constexpr std::size_t kPermutations = 128;
inline constexpr std::size_t kShingleWords = 5;

// The smallest hash of a text's shingles under each of kPermutations hash functions. Two texts
// agree in a place with the chance of their Jaccard similarity, so the share of places that agree
// estimates it with a standard error of sqrt(J (1 - J) / 128), at most 0.044.
using Signature = std::array<std::uint32_t, kPermutations>;

// Makes signatures. A shingle is kShingleWords successive words of filters/words.h (all words,
// where a text has fewer). The functions are h -> a h + b modulo 2^32 of a 32-bit hash of the
// shingle, with odd a and any b drawn from a fixed seed: signatures of different runs compare.
// Keeps working memory from text to text, so each thread takes one of its own.
// Source: Broder 1997; Broder et al. 2000 (linear functions).
class SignatureMaker {
 public:
  // Nothing for a text without a word, which resembles no other. Pure in its result.
  std::optional<Signature> operator()(std::string_view text);
  // The same from hash_words(text), for those who have them already.
  std::optional<Signature> from_words(const std::vector<std::uint64_t>& words);

 private:
  std::vector<std::uint64_t> words_;
  std::vector<std::uint64_t> shingles_;
  std::vector<std::uint32_t> folded_;
};

// The share of places in which two signatures agree.
double similarity(const Signature& a, const Signature& b);

}  // namespace ovid::data_tools::duplicates
