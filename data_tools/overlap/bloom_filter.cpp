#include "data_tools/overlap/bloom_filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "src/core/error.h"

namespace ovid::data_tools::overlap {

namespace {

constexpr double kMostBits = 64.0 * 1024 * 1024 * 1024 * 8;

// The second of the two numbers from which all functions follow; odd, so that it steps through all
// places.
std::uint64_t step_of(std::uint64_t hash) {
  hash = (hash ^ (hash >> 32)) * 0xD6E8FEB86659FD93ull;
  return (hash ^ (hash >> 32)) | 1u;
}

// The number's place among `range`, by its upper bits: no division, no power of two needed.
// Source: Lemire 2019.
std::uint64_t reduce(std::uint64_t number, std::uint64_t range) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>((static_cast<Wide>(number) * range) >> 64);
}

}  // namespace

BloomFilter::BloomFilter(std::uint64_t elements, double false_positive_rate) {
  if (!(false_positive_rate > 0 && false_positive_rate < 1)) {
    throw UsageError(
        fmt::format("a Bloom filter's false-positive rate is {}; it must be above 0 and below 1, "
                    "such as 1e-8",
                    false_positive_rate));
  }
  const double per_element = -std::log2(false_positive_rate) / std::numbers::ln2;
  const double bits =
      std::ceil(per_element * static_cast<double>(std::max<std::uint64_t>(elements, 1)));
  if (bits > kMostBits) {
    throw UsageError(
        fmt::format("a Bloom filter of {} n-grams at a false-positive rate of {} takes {:.0f} GiB; "
                    "the limit is 64: leave out evaluation sets",
                    elements, false_positive_rate, bits / 8 / 1024 / 1024 / 1024));
  }
  words_.resize(static_cast<std::size_t>(bits / 64) + 1);
  bits_ = words_.size() * 64;
  functions_ = std::max(1u, static_cast<unsigned>(std::lround(-std::log2(false_positive_rate))));
}

void BloomFilter::insert(std::uint64_t hash) {
  const std::uint64_t step = step_of(hash);
  for (unsigned i = 0; i < functions_; ++i, hash += step) {
    const std::uint64_t bit = reduce(hash, bits_);
    words_[bit / 64] |= std::uint64_t{1} << (bit % 64);
  }
}

bool BloomFilter::contains(std::uint64_t hash) const {
  const std::uint64_t step = step_of(hash);
  for (unsigned i = 0; i < functions_; ++i, hash += step) {
    const std::uint64_t bit = reduce(hash, bits_);
    if ((words_[bit / 64] >> (bit % 64) & 1u) == 0) return false;
  }
  return true;
}

}  // namespace ovid::data_tools::overlap
