#pragma once

#include <cstdint>

namespace ovid::training {

// The factor that float16 gradients are computed with, so that the small ones do not vanish below
// 2^-24 (Micikevicius et al. 2018, section 3.2): as large as it can be without overflow, found by
// trying. Part of a checkpoint.
struct LossScale {
  static constexpr double kLeast = 1.0;
  static constexpr double kMost = 16'777'216.0;  // 2^24
  static constexpr std::int64_t kStepsToDouble = 2000;

  double value = 65536.0;       // a power of two
  std::int64_t good_steps = 0;  // since the last change

  // The gradients were finite: after 2,000 such steps in a row the scale doubles.
  void note_good() {
    if (++good_steps < kStepsToDouble) return;
    good_steps = 0;
    if (value < kMost) value *= 2.0;
  }
  // They were not: the scale halves. False where it cannot, so that the gradients themselves must
  // be wrong.
  bool note_overflow() {
    good_steps = 0;
    if (value <= kLeast) return false;
    value *= 0.5;
    return true;
  }

  bool operator==(const LossScale&) const = default;
};

}  // namespace ovid::training
