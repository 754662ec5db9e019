#pragma once

#include <optional>

#include "kernels/common/execution_context.h"
#include "kernels/common/view.h"

// Fully connected layer, with bias and GELU where asked (docs/math/linear.md).
//   out = in W + bias              (1)    W is (K, M), or its transpose stored as (M, K)
//   out = gelu(in W + bias)        (2)
// Bits do not depend on the number of threads. They may depend on N, the number of rows (by our own
// products, kernels/cpu/gemm.h, only those of the gradients that sum over rows do), except where
// row_independent asks otherwise. On CUDA they also depend on the algorithms that were chosen
// (kernels/cuda/product_choices.h).
//
// Number types: A is `in`'s, float32, on CUDA also bfloat16 or float16. All operands have it, but
// gradients of weight and bias are of one type G, A or float32. Sums are made in float32 and
// rounded once; float32 operands are rounded to TF32 only where ctx.allows_tf32().
namespace ovid::kernels {

enum class WeightLayout : std::uint8_t {
  kInOut,  // (K, M): Hugging Face's Conv1D, all linears of a block
  kOutIn,  // (M, K): the embedding used as the head
};

struct Linear {
  ConstView in;                                  // (N, K) A
  ConstView weight;                              // (K, M) or (M, K) A
  std::optional<ConstView> bias = std::nullopt;  // (M) A; absent: zero
  View out;  // (N, M) A written; rows may be padded (row_stride)
  WeightLayout layout = WeightLayout::kInOut;
  // Each row's bits are those it would have alone: for decoding, where a sample must not depend on
  // its batch.
  bool row_independent = false;
};

struct LinearGradient {
  ConstView d_out;                              // (N, M) A; rows may be padded
  ConstView in;                                 // (N, K) A
  ConstView weight;                             // (K, M) or (M, K) A
  std::optional<View> d_in = std::nullopt;      // (N, K) A; absent: not wanted
  std::optional<View> d_weight = std::nullopt;  // G, shape of weight; absent: it is frozen
  std::optional<View> d_bias = std::nullopt;    // (M) G; absent: frozen, or the layer has none
  WeightLayout layout = WeightLayout::kInOut;
  GradientMode d_in_mode = GradientMode::kOverwrite;
  GradientMode d_weight_mode = GradientMode::kAccumulate;  // d_bias's too
  // (N, K) A: u, where in = gelu(u). d_in, which must be there and be overwritten, is then the
  // gradient of u: (d_out W') gelu'(u). It takes the place of what linear_gelu_backward begins
  // with, and costs no pass of its own on CUDA. Must not alias d_in.
  std::optional<ConstView> before = std::nullopt;
};

struct LinearGelu {
  ConstView in;      // (N, K) A
  ConstView weight;  // (K, M) A
  ConstView bias;    // (M) A
  View before;       // (N, M) A u = in W + bias, written, kept for backward; may alias out where no
                     // backward follows
  View out;          // (N, M) A gelu(u), written
  bool row_independent = false;
};

struct LinearGeluGradient {
  ConstView d_out;   // (N, M) A
  ConstView in;      // (N, K) A
  ConstView weight;  // (K, M) A
  ConstView before;  // (N, M) A u
  View d_before;     // (N, M) A d_u, overwritten; may alias d_out
  View d_in;         // (N, K) A overwritten
  View d_weight;     // (K, M) G
  View d_bias;       // (M) G
  GradientMode d_weight_mode = GradientMode::kAccumulate;  // d_bias's too
};

// Enqueued on ctx; throw ShapeError. d_in must not alias d_out.
void linear_forward(ExecutionContext& ctx, const Linear& op);
void linear_backward(ExecutionContext& ctx, const LinearGradient& op);
void linear_gelu_forward(ExecutionContext& ctx, const LinearGelu& op);
void linear_gelu_backward(ExecutionContext& ctx, const LinearGeluGradient& op);

struct LinearShape {
  std::int64_t rows, in_columns, out_columns;  // N, K, M
};
namespace cpu {
void linear_forward(ExecutionContext& ctx, const Linear& op, const LinearShape& shape);
void linear_backward(ExecutionContext& ctx, const LinearGradient& op, const LinearShape& shape);
void linear_gelu_forward(ExecutionContext& ctx, const LinearGelu& op, const LinearShape& shape);
void linear_gelu_backward(ExecutionContext& ctx, const LinearGeluGradient& op,
                          const LinearShape& shape);
// d_in = d_in gelu'(before): what LinearGradient::before asks for, behind linear_backward.
void multiply_by_gelu_gradient(ExecutionContext& ctx, const ConstView& before, const View& d_in);
}  // namespace cpu
namespace cuda {
void linear_forward(ExecutionContext& ctx, const Linear& op, const LinearShape& shape);
void linear_backward(ExecutionContext& ctx, const LinearGradient& op, const LinearShape& shape);
void linear_gelu_forward(ExecutionContext& ctx, const LinearGelu& op, const LinearShape& shape);
void linear_gelu_backward(ExecutionContext& ctx, const LinearGeluGradient& op,
                          const LinearShape& shape);
}  // namespace cuda

}  // namespace ovid::kernels
