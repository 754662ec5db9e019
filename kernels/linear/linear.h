#pragma once

#include <optional>

#include "kernels/common/execution_context.h"
#include "kernels/common/view.h"

// Fully connected layer, with bias and GELU where asked (docs/math/linear.md).
//   out = in W + bias              (1)    W is (K, M), or its transpose stored as (M, K)
//   out = gelu(in W + bias)        (2)
// Bits do not depend on the number of threads. They may depend on N, the number of rows (by our own
// products, kernels/cpu/gemm.h, only those of the gradients that sum over rows do), except where
// row_independent asks otherwise.
namespace ovid::kernels {

enum class WeightLayout : std::uint8_t {
  kInOut,  // (K, M): Hugging Face's Conv1D, all linears of a block
  kOutIn,  // (M, K): the embedding used as the head
};

struct Linear {
  ConstView in;                                  // (N, K) float32
  ConstView weight;                              // (K, M) or (M, K) float32
  std::optional<ConstView> bias = std::nullopt;  // (M); absent: zero
  View out;                                      // (N, M) written; rows may be padded (row_stride)
  WeightLayout layout = WeightLayout::kInOut;
  // Each row's bits are those it would have alone: for decoding, where a sample must not depend on
  // its batch.
  bool row_independent = false;
};

struct LinearGradient {
  ConstView d_out;                            // (N, M); rows may be padded
  ConstView in;                               // (N, K)
  ConstView weight;                           // (K, M) or (M, K)
  std::optional<View> d_in = std::nullopt;    // (N, K); absent: not wanted
  View d_weight;                              // as weight
  std::optional<View> d_bias = std::nullopt;  // (M); absent: the layer has none
  WeightLayout layout = WeightLayout::kInOut;
  GradientMode d_in_mode = GradientMode::kOverwrite;
  GradientMode d_weight_mode = GradientMode::kAccumulate;  // d_bias's too
};

struct LinearGelu {
  ConstView in;      // (N, K)
  ConstView weight;  // (K, M)
  ConstView bias;    // (M)
  View before;       // (N, M) u = in W + bias, written, kept for backward; may alias out where no
                     // backward follows
  View out;          // (N, M) gelu(u), written
  bool row_independent = false;
};

struct LinearGeluGradient {
  ConstView d_out;   // (N, M)
  ConstView in;      // (N, K)
  ConstView weight;  // (K, M)
  ConstView before;  // (N, M) u
  View d_before;     // (N, M) d_u, overwritten; may alias d_out
  View d_in;         // (N, K) overwritten
  View d_weight;     // (K, M)
  View d_bias;       // (M)
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
}  // namespace cpu
namespace cuda {
void linear_forward(ExecutionContext& ctx, const Linear& op, const LinearShape& shape);
void linear_backward(ExecutionContext& ctx, const LinearGradient& op, const LinearShape& shape);
void linear_gelu_forward(ExecutionContext& ctx, const LinearGelu& op, const LinearShape& shape);
void linear_gelu_backward(ExecutionContext& ctx, const LinearGeluGradient& op,
                          const LinearShape& shape);
}  // namespace cuda

}  // namespace ovid::kernels
