#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/step_guard/guard_window.h"
#include "kernels/step_guard/step_guard.h"

// Equations (1) to (4) of step_guard.h once the losses are added up, for host and device. For the
// op's own files.
namespace ovid::kernels {

// What step_guard() works on, as plain addresses.
struct GuardMemory {
  const double* sum_of_squares;
  double* windows;  // (2, W)
  std::int32_t* places;
  float* clip_scale;
  double* verdict;
  std::int64_t width;  // W
  std::int64_t targets;
  double unscale;
  double outlier_z;
};

inline GuardMemory guard_memory(const StepGuard& op) {
  return {.sum_of_squares = op.sum_of_squares.data<double>(),
          .windows = op.windows.data<double>(),
          .places = op.places.data<std::int32_t>(),
          .clip_scale = op.clip_scale.data<float>(),
          .verdict = op.verdict.data<double>(),
          .width = op.windows.shape()[1],
          .targets = op.targets,
          .unscale = static_cast<double>(op.unscale),
          .outlier_z = op.outlier_z};
}

// One window, whose values lie in a ring.
struct GuardRing {
  double* values;
  std::int64_t width, held, oldest;

  OVID_HOST_DEVICE double operator()(std::int64_t i) const {
    const std::int64_t at = oldest + i;
    return values[at < width ? at : at - width];
  }
  // (4). In the oldest's place once it is full.
  OVID_HOST_DEVICE void add(double value) const {
    const std::int64_t at = oldest + held;
    values[held == width ? oldest : (at < width ? at : at - width)] = value;
  }
};

// (2) to (4) for one value: whether it is an outlier.
OVID_HOST_DEVICE inline bool judge_value(const GuardRing& ring, double value, double outlier_z) {
  bool outlier = false;
  if (outlier_z > 0 && ring.held == ring.width) {
    const double limit = outlier_limit(window_statistics(ring, ring.held), outlier_z);
    outlier = value > limit;
    if (outlier) value = limit;
  }
  ring.add(value);
  return outlier;
}

OVID_HOST_DEVICE inline void decide(const GuardMemory& m, double loss_sum) {
  const double loss = m.targets > 0 ? loss_sum / static_cast<double>(m.targets) : 0.0;
  const double norm = guard_window::product(m.unscale, sqrt(*m.sum_of_squares));
  const bool finite = std::isfinite(loss) && std::isfinite(norm);
  bool loss_is_outlier = false, norm_is_outlier = false;
  if (finite) {
    std::int64_t held = m.places[0], oldest = m.places[1];
    if (held < 0 || held > m.width) held = 0;
    if (oldest < 0 || oldest >= m.width) oldest = 0;
    loss_is_outlier = judge_value({m.windows, m.width, held, oldest}, loss, m.outlier_z);
    norm_is_outlier = judge_value({m.windows + m.width, m.width, held, oldest}, norm, m.outlier_z);
    if (held == m.width) oldest = oldest + 1 < m.width ? oldest + 1 : 0;
    m.places[0] = static_cast<std::int32_t>(held < m.width ? held + 1 : held);
    m.places[1] = static_cast<std::int32_t>(oldest);
  }
  const bool left_out = !finite || loss_is_outlier || norm_is_outlier;
  if (left_out) *m.clip_scale = NAN;
  m.verdict[static_cast<int>(Verdict::kLoss)] = loss;
  m.verdict[static_cast<int>(Verdict::kNorm)] = norm;
  m.verdict[static_cast<int>(Verdict::kLossIsOutlier)] = loss_is_outlier ? 1.0 : 0.0;
  m.verdict[static_cast<int>(Verdict::kNormIsOutlier)] = norm_is_outlier ? 1.0 : 0.0;
  m.verdict[static_cast<int>(Verdict::kUpdateIsLeftOut)] = left_out ? 1.0 : 0.0;
}

}  // namespace ovid::kernels
