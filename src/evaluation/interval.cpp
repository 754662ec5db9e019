#include "src/evaluation/interval.h"

#include <algorithm>
#include <cmath>

namespace ovid::evaluation {

double Share::value() const {
  return trials > 0 ? static_cast<double>(hits) / static_cast<double>(trials) : 0.0;
}

Interval wilson_interval(const Share& share) {
  if (share.trials <= 0) return {0.0, 1.0};
  const double n = static_cast<double>(share.trials), p = share.value();
  const double z2 = kNormalQuantile * kNormalQuantile;
  const double centre = (p + z2 / (2 * n)) / (1 + z2 / n);
  const double half =
      kNormalQuantile * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n);
  return {std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

Interval mean_interval(const Share& a, const Share& b) {
  const Interval of_a = wilson_interval(a), of_b = wilson_interval(b);
  const double mean = (a.value() + b.value()) / 2;
  const double below = std::hypot(a.value() - of_a.low, b.value() - of_b.low) / 2;
  const double above = std::hypot(of_a.high - a.value(), of_b.high - b.value()) / 2;
  return {std::max(0.0, mean - below), std::min(1.0, mean + above)};
}

Interval middle_interval(std::vector<double>& values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const auto quantile = [&](double share) {
    const double place = share * static_cast<double>(values.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const std::size_t above = std::min(below + 1, values.size() - 1);
    const double part = place - static_cast<double>(below);
    return values[below] + part * (values[above] - values[below]);
  };
  return {quantile(0.025), quantile(0.975)};
}

void RatioTally::add(double sum, std::int64_t units) {
  const auto n = static_cast<double>(units);
  ++groups_;
  units_ += units;
  sum_ += sum;
  sum_squared_ += sum * sum;
  sum_times_units_ += sum * n;
  units_squared_ += n * n;
}

double RatioTally::mean() const {
  return units_ > 0 ? sum_ / static_cast<double>(units_) : 0.0;
}

Interval RatioTally::interval() const {
  const double m = mean();
  if (groups_ < 2 || units_ == 0) return {m, m};
  const auto n = static_cast<double>(groups_);
  const double residuals = sum_squared_ - 2 * m * sum_times_units_ + m * m * units_squared_;
  const double deviation =
      std::sqrt(std::max(0.0, residuals) * n / (n - 1)) / static_cast<double>(units_);
  return {m - kNormalQuantile * deviation, m + kNormalQuantile * deviation};
}

}  // namespace ovid::evaluation
