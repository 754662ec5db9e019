#pragma once

#include "kernels/common/dropout_mask.h"
#include "kernels/common/execution_context.h"
#include "kernels/common/view.h"

// Inverted dropout (Srivastava et al. 2014; docs/math/dropout.md).
//   out = in * mask / (1 - p)                                                               (1)
namespace ovid::kernels {

struct Dropout {
  ConstView in;  // (N, C) contiguous; float32, on CUDA also bfloat16 or float16
  View out;      // (N, C) as in, written; may alias in
  DropoutMask mask;
};

struct DropoutGradient {
  ConstView d_out;   // (N, C) contiguous; float32, on CUDA also bfloat16 or float16
  View d_in;         // (N, C) as d_out, overwritten; may alias d_out
  DropoutMask mask;  // the forward pass's
};

// Enqueued on ctx; throw ShapeError.
void dropout_forward(ExecutionContext& ctx, const Dropout& op);
void dropout_backward(ExecutionContext& ctx, const DropoutGradient& op);

namespace cpu {
void dropout_forward(ExecutionContext& ctx, const Dropout& op);
void dropout_backward(ExecutionContext& ctx, const DropoutGradient& op);
}  // namespace cpu
namespace cuda {
void dropout_forward(ExecutionContext& ctx, const Dropout& op);
void dropout_backward(ExecutionContext& ctx, const DropoutGradient& op);
}  // namespace cuda

}  // namespace ovid::kernels
