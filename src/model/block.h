#pragma once

#include <optional>

#include "kernels/common/dropout_mask.h"
#include "kernels/common/execution_context.h"
#include "src/model/activations.h"
#include "src/model/parameters.h"

namespace ovid::model {

using kernels::ExecutionContext;

// The masks of one block in one micro-batch; absent where a probability is 0.
struct BlockDropout {
  std::optional<kernels::DropoutMask> attention;
  std::optional<kernels::DropoutMask> attention_branch;
  std::optional<kernels::DropoutMask> mlp_branch;
};

// One pre-norm block (Radford et al. 2019; docs/math/block.md). It receives the residual stream and
// its norm, and returns both for the next reader, whose norm's parameters are therefore
// `next_norm`: those of the next block, or the final ones.
struct BlockOperands {
  std::int64_t heads;
  float epsilon;
  View x;              // (B, T, C) residual stream
  View n;              // (B, T, C) its norm
  View mean, inv_std;  // (B T) of the norm
  const BlockParameters<View>& weights;
  const NormParameters<View>& next_norm;
  const BlockActivations& a;
  View branch;  // (B, T, C) scratch of the forward pass
  BlockDropout dropout;
};

struct BlockGradients {
  const BlockParameters<View>& weights;  // frozen ones without elements (if_trained)
  const NormParameters<View>& next_norm;
  const ActivationGradients& d;  // in: d.x and d.n of next_x and next_n; out: of x and n
  kernels::GradientMode mode;    // of weights and next_norm
  // The lowest equation whose gradients are needed (BackwardExtent): the pass ends behind it, and
  // leaves d.x and d.n unfinished. 0: all, and the gradients of x and n.
  int lowest = 0;
  float low_rank_scale = 0.0f;  // LowRankConfig::scale(); not read without adapters
};

void block_forward(ExecutionContext& ctx, const BlockOperands& op);
// Its first five equations: all that the backward pass of the block reads, but for the sum at its
// end.
void block_forward_inner(ExecutionContext& ctx, const BlockOperands& op);
void block_backward(ExecutionContext& ctx, const BlockOperands& op,
                    const BlockGradients& gradients);

}  // namespace ovid::model
