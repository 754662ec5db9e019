#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "src/core/file.h"

namespace ovid::data_tools::duplicates {

struct Pair {
  std::uint64_t first;
  std::uint64_t second;
  auto operator<=>(const Pair&) const = default;
};

// Sorts any number of pairs of numbers in a given memory: what does not fit goes sorted to files
// ("runs"), which are merged, as many at once as the memory has room for, in several passes where
// that is not enough. 16 bytes of disk a pair, for a moment 32. Throws ResourceError of the disk.
class PairSorter {
 public:
  // Files are `prefix` and a number; they vanish with the sorter, and those of an earlier one that
  // was killed vanish here. `memory_bytes` >= 512 KiB.
  PairSorter(Path prefix, std::uint64_t memory_bytes);
  ~PairSorter();
  PairSorter(const PairSorter&) = delete;
  PairSorter& operator=(const PairSorter&) = delete;

  void add(Pair pair) {
    if (pairs_.size() == capacity_) spill();
    pairs_.push_back(pair);
    ++count_;
  }
  std::uint64_t count() const { return count_; }

  // Calls visit for all pairs in ascending order. Once; nothing can be added afterwards.
  using Visit = std::function<void(const Pair&)>;
  void visit_sorted(const Visit& visit);

 private:
  void spill();
  Path next_name();
  void merge(std::size_t begin, std::size_t end, const Visit& visit);

  Path prefix_;
  std::uint64_t memory_bytes_;
  std::size_t capacity_;
  std::size_t names_ = 0;
  std::uint64_t count_ = 0;
  std::vector<Pair> pairs_;
  std::vector<Path> runs_;
};

}  // namespace ovid::data_tools::duplicates
