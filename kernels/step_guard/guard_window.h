#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/common/random.h"

// The arithmetic of a guard's window, one text for host and device, so that both come to the same
// bits: sums from the oldest value to the newest, no product fused with an addition.
namespace ovid::kernels {

struct WindowStatistics {
  double mean = 0;
  double deviation = 0;  // standard deviation, but at least a thousandth of |mean|
};

namespace guard_window {

OVID_HOST_DEVICE inline double product(double a, double b) {
#ifdef __CUDA_ARCH__
  return __dmul_rn(a, b);
#else
  return a * b;
#endif
}

}  // namespace guard_window

// Of `count` >= 1 values, of which `at(i)` is the i-th oldest. From the values each time, never
// from running sums: those would keep what once went into them. A run that repeats itself has next
// to no deviation, and a thousandth of the mean is no outlier.
template <class At>
OVID_HOST_DEVICE inline WindowStatistics window_statistics(const At& at, std::int64_t count) {
  const auto n = static_cast<double>(count);
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += at(i);
  const double mean = sum / n;
  double squares = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const double distance = at(i) - mean;
    squares += guard_window::product(distance, distance);
  }
  const double deviation = sqrt(squares / n);
  const double least = guard_window::product(1e-3, fabs(mean));
  return {mean, deviation < least ? least : deviation};
}

// What is above it is an outlier.
OVID_HOST_DEVICE inline double outlier_limit(const WindowStatistics& window, double outlier_z) {
  return window.mean + guard_window::product(outlier_z, window.deviation);
}

}  // namespace ovid::kernels
