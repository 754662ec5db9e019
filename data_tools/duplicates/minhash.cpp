#include "data_tools/duplicates/minhash.h"

#include "data_tools/filters/words.h"
#include "kernels/cpu/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "data_tools/duplicates/minhash.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace ovid::data_tools::duplicates {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// minima[p] = min over the hashes h of factors[p] h + terms[p] modulo 2^32. At most 16 lanes a
// vector, of which kPermutations is a multiple of four.
void smallest_hashes(const std::uint32_t* hashes, std::size_t count, const std::uint32_t* factors,
                     const std::uint32_t* terms, std::uint32_t* minima) {
  const hn::CappedTag<std::uint32_t, 16> d;
  const std::size_t lanes = hn::Lanes(d);
  // Four vectors of functions stay in registers while all hashes pass by.
  for (std::size_t p = 0; p < kPermutations; p += 4 * lanes) {
    const auto factor0 = hn::LoadU(d, factors + p);
    const auto factor1 = hn::LoadU(d, factors + p + lanes);
    const auto factor2 = hn::LoadU(d, factors + p + 2 * lanes);
    const auto factor3 = hn::LoadU(d, factors + p + 3 * lanes);
    const auto term0 = hn::LoadU(d, terms + p);
    const auto term1 = hn::LoadU(d, terms + p + lanes);
    const auto term2 = hn::LoadU(d, terms + p + 2 * lanes);
    const auto term3 = hn::LoadU(d, terms + p + 3 * lanes);
    auto least0 = hn::Set(d, ~std::uint32_t{0});
    auto least1 = least0;
    auto least2 = least0;
    auto least3 = least0;
    for (std::size_t i = 0; i < count; ++i) {
      const auto hash = hn::Set(d, hashes[i]);
      least0 = hn::Min(least0, hn::Add(hn::Mul(hash, factor0), term0));
      least1 = hn::Min(least1, hn::Add(hn::Mul(hash, factor1), term1));
      least2 = hn::Min(least2, hn::Add(hn::Mul(hash, factor2), term2));
      least3 = hn::Min(least3, hn::Add(hn::Mul(hash, factor3), term3));
    }
    hn::StoreU(least0, d, minima + p);
    hn::StoreU(least1, d, minima + p + lanes);
    hn::StoreU(least2, d, minima + p + 2 * lanes);
    hn::StoreU(least3, d, minima + p + 3 * lanes);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace ovid::data_tools::duplicates
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ovid::data_tools::duplicates {

HWY_EXPORT(smallest_hashes);

namespace {

struct LinearFunctions {
  std::array<std::uint32_t, kPermutations> factors{};
  std::array<std::uint32_t, kPermutations> terms{};
};

// SplitMix64 (Steele, Lea and Flood 2014) from a fixed start; the factors odd, so that each
// function is a permutation of the 32-bit numbers.
constexpr LinearFunctions kFunctions = [] {
  LinearFunctions functions;
  std::uint64_t state = 0x4F766964;
  for (std::size_t p = 0; p < kPermutations; ++p) {
    state += 0x9E3779B97F4A7C15ull;
    std::uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    z ^= z >> 31;
    functions.factors[p] = static_cast<std::uint32_t>(z) | 1u;
    functions.terms[p] = static_cast<std::uint32_t>(z >> 32);
  }
  return functions;
}();

}  // namespace

std::optional<Signature> SignatureMaker::operator()(std::string_view text) {
  filters::hash_words(text, words_);
  return from_words(words_);
}

std::optional<Signature> SignatureMaker::from_words(const std::vector<std::uint64_t>& words) {
  if (words.empty()) return std::nullopt;
  filters::hash_ngrams(words, std::min(words.size(), kShingleWords), shingles_);
  folded_.resize(shingles_.size());
  for (std::size_t i = 0; i < shingles_.size(); ++i) {
    folded_[i] = static_cast<std::uint32_t>(shingles_[i] >> 32);
  }
  Signature signature;
  HWY_DYNAMIC_DISPATCH(smallest_hashes)
  (folded_.data(), folded_.size(), kFunctions.factors.data(), kFunctions.terms.data(),
   signature.data());
  return signature;
}

double similarity(const Signature& a, const Signature& b) {
  std::size_t equal = 0;
  for (std::size_t p = 0; p < kPermutations; ++p) equal += a[p] == b[p] ? 1 : 0;
  return static_cast<double>(equal) / static_cast<double>(kPermutations);
}

}  // namespace ovid::data_tools::duplicates
#endif
