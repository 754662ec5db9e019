#pragma once

#include <cstdint>
#include <vector>

namespace ovid::data_tools::overlap {

// A set of 64-bit hashes that may say "in" of one that is not, with a known chance, and never "out"
// of one that is. Bits and functions are the optimum for the number of elements and the chance: for
// 1e-8, 38.3 bits an element and 27 functions, of which one that is not in the set is asked about
// two on average.
// Source: Bloom 1970; Kirsch and Mitzenmacher 2006 (all functions from two).
class BloomFilter {
 public:
  // Throws UsageError where the rate is not in (0, 1) or the filter would pass 64 GiB.
  BloomFilter(std::uint64_t elements, double false_positive_rate);

  void insert(std::uint64_t hash);
  bool contains(std::uint64_t hash) const;  // from any thread, while none inserts

  std::uint64_t bits() const { return bits_; }
  unsigned functions() const { return functions_; }

 private:
  std::uint64_t bits_;
  unsigned functions_;
  std::vector<std::uint64_t> words_;
};

}  // namespace ovid::data_tools::overlap
