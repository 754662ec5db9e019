#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ovid::data {

// Which of several weighted sources each sequence of a run comes from: a pure function of the
// weights and of the number of sequences consumed, without state and without a loop over the past.
//
// The sources are split in halves again and again. Of the first n sequences that reach a split, the
// nearest whole number to n W_left / W goes left. So each source's turns are spread as evenly as
// they can be, and after n sequences of the run source k has had n w_k / W of them, within 1/2 for
// two sources, 1 for up to four and ceil(log2 K) / 2 for K; exactly that after every multiple of
// the sum of parts().
class MixtureSchedule {
 public:
  // One weight a source, at least one, each above 0; only their ratios count. Weights of up to nine
  // decimals are kept exactly, others to 2^-30 of their sum. Throws UsageError for a weight that is
  // not a positive number, or below 1e-9 of the sum.
  explicit MixtureSchedule(const std::vector<double>& weights = {1.0});

  struct Turn {
    std::size_t source;
    std::int64_t consumed;  // sequences that this source gave before
  };
  // Whose turn it is after `consumed` sequences of the run, in [0, 2^60]. O(log K).
  Turn at(std::int64_t consumed) const;

  // How many of the first `consumed` sequences source `source` gives. O(log K).
  std::int64_t count(std::size_t source, std::int64_t consumed) const;

  std::size_t sources() const { return parts_.size(); }
  // The weights as whole numbers without a common divisor.
  std::span<const std::int64_t> parts() const { return parts_; }

 private:
  std::int64_t left_of(std::size_t begin, std::size_t middle, std::size_t end,
                       std::int64_t n) const;

  std::vector<std::int64_t> parts_;
  std::vector<std::int64_t> starts_;  // sums of the parts before each source, then of all
};

}  // namespace ovid::data
