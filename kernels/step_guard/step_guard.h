#pragma once

#include "kernels/common/execution_context.h"
#include "kernels/common/view.h"

// Whether the update of a step may be believed, decided where the gradients are, so that the host
// need not wait between them and the update (docs/math/step_guard.md).
//   loss = sum of losses / targets,   norm = unscale sqrt(sum_of_squares)                    (1)
//   limit = mean + outlier_z max(deviation, |mean| / 1000)      of each full window          (2)
//   left out: where loss or norm is not finite, or is above its limit                        (3)
//   windows: what is finite enters in the oldest's place, above its limit as the limit       (4)
// Sums of (1) and (2) run in the order of the values, in double: one thread's work on every device,
// with the same bits on all.
namespace ovid::kernels {

// Where `verdict` has what.
enum class Verdict : std::int32_t {
  kLoss,             // (1)
  kNorm,             // (1)
  kLossIsOutlier,    // 1 or 0
  kNormIsOutlier,    // 1 or 0
  kUpdateIsLeftOut,  // 1 or 0
  kNumbers           // how many there are
};

struct StepGuard {
  ConstView losses;          // (n) float32, nats; n may be 0
  std::int64_t targets;      // at least 0 of the n count; 0: the loss is 0
  ConstView sum_of_squares;  // () float64, as gradient_norm writes it
  float unscale = 1.0f;      // 1 / loss scale
  double outlier_z;          // 0: there are no outliers
  View windows;              // (2, W) float64, W >= 1, updated: of losses, then of norms
  View places;               // (2) int32, updated: how many a window holds, and where the oldest is
  View clip_scale;           // () float32: becomes NaN where the update is left out; else it stays
  View verdict;              // (kNumbers) float64, written
};

// Enqueued on ctx; throws ShapeError. Values of `places` outside [0, W] and [0, W) count as 0.
void step_guard(ExecutionContext& ctx, const StepGuard& op);

namespace cpu {
void step_guard(ExecutionContext& ctx, const StepGuard& op);
}
namespace cuda {
void step_guard(ExecutionContext& ctx, const StepGuard& op);
}

}  // namespace ovid::kernels
