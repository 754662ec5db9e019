#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace ovid::metrics {

// Speed from the last `window` steps, as their median: one slow step (a page fault, a busy
// neighbour) does not move it. Steps are reported with their own seconds, so that time spent on
// validation and saving never counts.
class RateEstimator {
 public:
  explicit RateEstimator(std::size_t window = 21);

  // A step of `tokens` that took `seconds`. Seconds that are not finite and positive are ignored.
  void add_step(double seconds, std::int64_t tokens);

  std::optional<double> seconds_per_step() const;   // nothing before the first step
  std::optional<double> tokens_per_second() const;  // median of the steps' own speeds
  std::optional<double> seconds_left(std::int64_t steps) const;

 private:
  std::size_t window_;
  std::size_t next_ = 0;
  std::vector<double> seconds_;
  std::vector<double> speeds_;
};

}  // namespace ovid::metrics
