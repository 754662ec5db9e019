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

  // A step of `tokens` and `flops` floating-point operations (0: unknown) that took `seconds`.
  // Steps whose seconds are not finite and positive are ignored.
  void add_step(double seconds, std::int64_t tokens, double flops = 0.0);

  std::optional<double> seconds_per_step() const;   // nothing before the first step
  std::optional<double> tokens_per_second() const;  // median of the steps' own speeds
  std::optional<double> flops_per_second() const;   // the same; nothing where it is not known
  std::optional<double> seconds_left(std::int64_t steps) const;

 private:
  std::size_t window_;
  std::size_t next_ = 0;
  std::vector<double> seconds_;
  std::vector<double> speeds_;
  std::vector<double> flops_;  // per second
};

}  // namespace ovid::metrics
