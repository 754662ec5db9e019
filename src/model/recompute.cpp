#include "src/model/recompute.h"

#include "kernels/gelu/gelu.h"
#include "kernels/layernorm/layernorm.h"

namespace ovid::model {
namespace {

void recompute_input_norm(ExecutionContext& ctx, const BlockOperands& op) {
  layernorm_forward(ctx, {.in = op.x,
                          .gain = op.weights.norm1.gain,
                          .bias = op.weights.norm1.bias,
                          .out = op.n,
                          .mean = op.mean,
                          .inv_std = op.inv_std,
                          .epsilon = op.epsilon});
}

}  // namespace

void recompute_block(ExecutionContext& ctx, const BlockOperands& op, bool first_block, Keep keep) {
  if (keep != Keep::kWithoutCheap && keep != Keep::kBlockInputs) return;
  if (!first_block) recompute_input_norm(ctx, op);
  if (keep == Keep::kBlockInputs) return block_forward_inner(ctx, op);
  layernorm_forward(ctx, {.in = op.a.x_mid,
                          .gain = op.weights.norm2.gain,
                          .bias = op.weights.norm2.bias,
                          .out = op.a.m,
                          .mean = op.a.mean2,
                          .inv_std = op.a.inv_std2,
                          .epsilon = op.epsilon});
  gelu_forward(ctx, {.in = op.a.u, .out = op.a.g});
}

}  // namespace ovid::model
