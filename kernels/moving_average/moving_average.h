#pragma once

#include "kernels/common/execution_context.h"
#include "kernels/common/view.h"

// The exponential moving average of weights (Polyak, Juditsky 1992; docs/math/moving_average.md).
//   average = average + (1 - decay) (value - average)                                       (1)
// Element by element: bits do not depend on the number of threads.
namespace ovid::kernels {

struct MovingAverage {
  ConstView value;  // (n) float32
  View average;     // (n) float32, updated
  float decay;      // in [0, 1]
};

// Enqueued on ctx; throws ShapeError.
void moving_average_update(ExecutionContext& ctx, const MovingAverage& op);

namespace cpu {
void moving_average_update(ExecutionContext& ctx, const MovingAverage& op);
}
namespace cuda {
void moving_average_update(ExecutionContext& ctx, const MovingAverage& op);
}

}  // namespace ovid::kernels
