#pragma once

#include <cstdint>
#include <vector>

// How far a measured share or mean can be trusted.
namespace ovid::evaluation {

struct Interval {
  double low = 0, high = 0;
};

// How often something happened among trials that are independent of each other.
struct Share {
  std::int64_t hits = 0, trials = 0;
  double value() const;  // 0 where there was no trial
};

// 97.5 % quantile of the normal distribution: all intervals here are of 95 %.
inline constexpr double kNormalQuantile = 1.959963984540054;

// Score interval of a share: where the true one lies with 95 % confidence; [0, 1] without a trial.
// Unlike the plain normal interval it is right for few trials and for shares near 0 and 1. Source:
// Wilson 1927.
Interval wilson_interval(const Share& share);

// Interval of the mean of two independent shares, from their own Wilson intervals by square and
// add. Source: Newcombe 1998 (method 10); Zou & Donner 2008.
Interval mean_interval(const Share& a, const Share& b);

// The middle 95 % of `values` (repeats of a bootstrap), which are sorted in place; interpolated
// between neighbours. [0, 0] where there are none.
Interval middle_interval(std::vector<double>& values);

// A mean over units that come in groups: nats for each token of a text, hits for each turn of a
// dialogue. The units of a group may resemble each other; the groups are taken as independent.
class RatioTally {
 public:
  // A group: the sum of its values over its `units`.
  void add(double sum, std::int64_t units);
  std::int64_t groups() const { return groups_; }
  std::int64_t units() const { return units_; }
  double sum() const { return sum_; }
  double mean() const;  // for each unit; 0 where there is none

  // Of the mean, with other groups of the same kind: that of a ratio estimator (Cochran 1977,
  // 2.11). Of fewer than two groups nothing is known: the mean itself.
  Interval interval() const;

 private:
  std::int64_t groups_ = 0, units_ = 0;
  double sum_ = 0, sum_squared_ = 0, sum_times_units_ = 0, units_squared_ = 0;
};

}  // namespace ovid::evaluation
