#include "src/metrics/rate_estimator.h"

#include <algorithm>
#include <cmath>

namespace ovid::metrics {
namespace {

std::optional<double> median(std::vector<double> values) {
  if (values.empty()) return std::nullopt;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2.0;
}

}  // namespace

RateEstimator::RateEstimator(std::size_t window) : window_(std::max<std::size_t>(1, window)) {}

void RateEstimator::add_step(double seconds, std::int64_t tokens, double flops) {
  if (!std::isfinite(seconds) || seconds <= 0.0) return;
  const double speed = static_cast<double>(tokens) / seconds;
  if (seconds_.size() < window_) {
    seconds_.push_back(seconds);
    speeds_.push_back(speed);
    flops_.push_back(flops / seconds);
  } else {
    seconds_[next_] = seconds;
    speeds_[next_] = speed;
    flops_[next_] = flops / seconds;
  }
  next_ = (next_ + 1) % window_;
}

std::optional<double> RateEstimator::seconds_per_step() const {
  return median(seconds_);
}

std::optional<double> RateEstimator::tokens_per_second() const {
  return median(speeds_);
}

std::optional<double> RateEstimator::flops_per_second() const {
  const std::optional<double> speed = median(flops_);
  if (!speed || !std::isfinite(*speed) || *speed <= 0.0) return std::nullopt;
  return speed;
}

std::optional<double> RateEstimator::seconds_left(std::int64_t steps) const {
  const std::optional<double> each = seconds_per_step();
  if (!each) return std::nullopt;
  return *each * static_cast<double>(std::max<std::int64_t>(0, steps));
}

}  // namespace ovid::metrics
