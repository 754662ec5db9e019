#pragma once

#include <optional>

#include "kernels/common/dropout_mask.h"
#include "kernels/common/execution_context.h"
#include "kernels/common/view.h"

// Layer normalisation, alone and fused with the residual addition before it (Ba, Kiros, Hinton
// 2016; docs/math/layernorm.md).
//   s = x + dropout(branch)                   (1)
//   n = gain * (s - mean(s)) * r + bias       (2)    r = 1 / sqrt(var(s) + epsilon), biased var
// Result bits do not depend on the number of threads, nor on the GPU among those of one
// architecture. All operands of an op have the number type of its first one, but mean and inv_std,
// which are float32, and d_gain and d_bias. Arithmetic is in float32; the sum (1) is rounded before
// it is normalised, so that the backward pass, which reads it, works on the same numbers.
namespace ovid::kernels {

struct LayerNorm {
  ConstView in;    // (N, C) float32, on CUDA also bfloat16 or float16
  ConstView gain;  // (C)
  ConstView bias;  // (C)
  View out;        // (N, C) written
  View mean;       // (N) float32, written, kept for backward
  View inv_std;    // (N) float32, r, written, kept for backward
  float epsilon = 1e-5f;
};

struct LayerNormGradient {
  ConstView d_out;                                       // (N, C) as in
  ConstView in;                                          // (N, C) float32, on CUDA also 16-bit
  ConstView gain;                                        // (C)
  ConstView mean;                                        // (N) float32
  ConstView inv_std;                                     // (N) float32
  View d_in;                                             // (N, C) overwritten; may alias d_out
  std::optional<View> d_gain = std::nullopt;             // (C) as in, or float32; absent: frozen
  std::optional<View> d_bias = std::nullopt;             // (C) as d_gain; absent: frozen
  GradientMode d_gain_mode = GradientMode::kAccumulate;  // d_bias's too
};

struct ResidualLayerNorm {
  ConstView x;       // (N, C) float32, on CUDA also bfloat16 or float16
  ConstView branch;  // (N, C)
  ConstView gain;    // (C)
  ConstView bias;    // (C)
  View sum;          // (N, C) s, written; may alias x
  View normed;       // (N, C) n, written; may alias branch
  View mean;         // (N) written, kept for backward
  View inv_std;      // (N) r, written, kept for backward
  float epsilon = 1e-5f;
  std::optional<DropoutMask> branch_dropout = std::nullopt;  // absent: no dropout
};

struct ResidualLayerNormGradient {
  ConstView d_normed;  // (N, C)
  ConstView sum;       // (N, C) s; float32, on CUDA also bfloat16 or float16
  ConstView gain;      // (C)
  ConstView mean;      // (N) float32
  ConstView inv_std;   // (N) float32
  View d_sum;  // (N, C) in: the gradient that reaches s through its other readers; out: the whole
               // d_s, which is d_x
  View d_branch;  // (N, C) overwritten; may alias d_normed; may alias d_sum where there is no
                  // dropout
  std::optional<View> d_gain = std::nullopt;             // (C) as sum, or float32; absent: frozen
  std::optional<View> d_bias = std::nullopt;             // (C) as d_gain; absent: frozen
  GradientMode d_gain_mode = GradientMode::kAccumulate;  // d_bias's too
  std::optional<DropoutMask> branch_dropout = std::nullopt;  // the forward pass's
};

// Enqueued on ctx; throw ShapeError.
void layernorm_forward(ExecutionContext& ctx, const LayerNorm& op);
void layernorm_backward(ExecutionContext& ctx, const LayerNormGradient& op);
void residual_layernorm_forward(ExecutionContext& ctx, const ResidualLayerNorm& op);
void residual_layernorm_backward(ExecutionContext& ctx, const ResidualLayerNormGradient& op);

struct RowShape {
  std::int64_t rows, columns;  // N, C
};
namespace cpu {
void layernorm_forward(ExecutionContext& ctx, const LayerNorm& op, RowShape shape);
void layernorm_backward(ExecutionContext& ctx, const LayerNormGradient& op, RowShape shape);
void residual_layernorm_forward(ExecutionContext& ctx, const ResidualLayerNorm& op, RowShape shape);
void residual_layernorm_backward(ExecutionContext& ctx, const ResidualLayerNormGradient& op,
                                 RowShape shape);
}  // namespace cpu
namespace cuda {
void layernorm_forward(ExecutionContext& ctx, const LayerNorm& op, RowShape shape);
void layernorm_backward(ExecutionContext& ctx, const LayerNormGradient& op, RowShape shape);
void residual_layernorm_forward(ExecutionContext& ctx, const ResidualLayerNorm& op, RowShape shape);
void residual_layernorm_backward(ExecutionContext& ctx, const ResidualLayerNormGradient& op,
                                 RowShape shape);
}  // namespace cuda

}  // namespace ovid::kernels
