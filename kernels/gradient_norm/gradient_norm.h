#pragma once

#include <optional>

#include "kernels/common/execution_context.h"
#include "kernels/common/view.h"

// The sum of squares of all gradients, whose root is the global norm that clipping compares
// (Pascanu, Mikolov, Bengio 2013; docs/math/gradient_norm.md).
//   sum_of_squares = sum_i gradient_i^2                                                     (1)
//   norm = unscale * sqrt(sum_of_squares)                                                   (2)
//   clip_scale = unscale * min(1, clip / norm),  NaN where norm is not finite               (3)
// Summed in blocks of a fixed size, in double across blocks and in a fixed order: bits do not
// depend on threads or multiprocessors.
namespace ovid::kernels {

struct GradientNorm {
  ConstView gradient;   // (n) float32, on CUDA also bfloat16 or float16; n may be 0
  View sum_of_squares;  // () float64
  GradientMode mode = GradientMode::kOverwrite;
  // () float32, written from the new sum_of_squares: what AdamW multiplies the gradients by (its
  // gradient_scale_on_device); NaN makes it skip the step. Absent: only the sum is wanted.
  std::optional<View> clip_scale = std::nullopt;
  double clip = 0.0;     // the largest norm; 0: no clipping
  float unscale = 1.0f;  // 1 / loss scale: gradients are that many times too large
};

// A gradient in several arrays is added up by calls with kAccumulate, of which the last has
// clip_scale; n = 0 with kAccumulate works out clip_scale alone, as after a sum over ranks.
// Enqueued on ctx; throws ShapeError.
void gradient_norm(ExecutionContext& ctx, const GradientNorm& op);

namespace cpu {
void gradient_norm(ExecutionContext& ctx, const GradientNorm& op);
}
namespace cuda {
void gradient_norm(ExecutionContext& ctx, const GradientNorm& op);
}

}  // namespace ovid::kernels
