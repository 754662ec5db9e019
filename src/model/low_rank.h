#pragma once

#include <array>
#include <optional>

#include "kernels/common/execution_context.h"
#include "src/model/parameters.h"

// Low-rank adapters of a linear (Hu et al. 2021, section 4.1). Passes compute with the merged
// weight, so that a model with adapters and its export are one, to the bit; the gradient of the
// weight itself is never made.
//   W' = W + s A' B                      (1)    s = alpha / rank, A (r, K), B (r, M)
//   d_A += (d_out (s B)')' in            (2)    (r, K)
//   d_B += (in (s A)')' d_out            (3)    (r, M)
namespace ovid::model {

using kernels::ExecutionContext;

// The linears of a BlockParameters, in the block's order.
template <class Block>
auto linears_of(Block& block) {
  return std::array{&block.qkv, &block.projection, &block.expand, &block.contract};
}

struct LowRankMerge {
  ConstView weight;                            // (K, M) float32
  LowRankParameters<View> adapter;             // float32
  float scale;                                 // s
  View sum;                                    // (K, M) float32, written: W'; may be `weight`
  std::optional<View> rounded = std::nullopt;  // (K, M) 16-bit, written: W' to nearest
};
// Equation (1), in float32. Enqueued on ctx.
void merge_low_rank(ExecutionContext& ctx, const LowRankMerge& op);

struct LowRankGradient {
  ConstView d_out;                           // (N, M) A
  ConstView in;                              // (N, K) A
  const LowRankParameters<View>& adapter;    // float32
  const LowRankParameters<View>& gradients;  // A or float32; without elements: frozen
  float scale;
  kernels::GradientMode mode;
};
// Equations (2) and (3). Enqueued on ctx; takes scratch for 2 N r + r (K + M) elements.
void low_rank_backward(ExecutionContext& ctx, const LowRankGradient& op);

}  // namespace ovid::model
