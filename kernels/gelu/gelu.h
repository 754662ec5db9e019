#pragma once

#include "kernels/common/execution_context.h"
#include "kernels/common/view.h"

// GELU in its tanh form, as GPT-2 uses it (Hendrycks, Gimpel 2016; docs/math/gelu.md).
//   gelu(u) = u/2 (1 + tanh(sqrt(2/pi) (u + 0.044715 u^3)))                                 (1)
namespace ovid::kernels {

struct Gelu {
  ConstView in;  // (N, C) float32, on CUDA also bfloat16 or float16
  View out;      // (N, C) as in, written; may alias in
};

struct GeluGradient {
  ConstView d_out;  // (N, C) as in
  ConstView in;     // (N, C) float32, on CUDA also bfloat16 or float16
  View d_in;        // (N, C) as in, overwritten; may alias d_out
};

// Enqueued on ctx; throw ShapeError.
void gelu_forward(ExecutionContext& ctx, const Gelu& op);
void gelu_backward(ExecutionContext& ctx, const GeluGradient& op);

namespace cpu {
void gelu_forward(ExecutionContext& ctx, const Gelu& op);
void gelu_backward(ExecutionContext& ctx, const GeluGradient& op);
}  // namespace cpu
namespace cuda {
void gelu_forward(ExecutionContext& ctx, const Gelu& op);
void gelu_backward(ExecutionContext& ctx, const GeluGradient& op);
}  // namespace cuda

}  // namespace ovid::kernels
