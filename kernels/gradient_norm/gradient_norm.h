#pragma once

#include "kernels/common/execution_context.h"
#include "kernels/common/view.h"

// The sum of squares of all gradients, whose root is the global norm that clipping compares
// (Pascanu, Mikolov, Bengio 2013; docs/math/gradient_norm.md).
//   sum_of_squares = sum_i gradient_i^2                                                     (1)
// Summed in blocks of a fixed size, in double across blocks and in a fixed order: bits do not
// depend on threads.
namespace ovid::kernels {

struct GradientNorm {
  ConstView gradient;   // (n) float32
  View sum_of_squares;  // () float64
  GradientMode mode = GradientMode::kOverwrite;
};

// Enqueued on ctx; throws ShapeError.
void gradient_norm(ExecutionContext& ctx, const GradientNorm& op);

namespace cpu {
void gradient_norm(ExecutionContext& ctx, const GradientNorm& op);
}
namespace cuda {
void gradient_norm(ExecutionContext& ctx, const GradientNorm& op);
}

}  // namespace ovid::kernels
