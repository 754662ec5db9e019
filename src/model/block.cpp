#include "src/model/block.h"

#include "kernels/attention/attention.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/linear/linear.h"
#include "src/model/low_rank.h"

namespace ovid::model {

// clang-format off: the two passes are read side by side, each line with its equation beside it
void block_forward_inner(ExecutionContext& ctx, const BlockOperands& op) {
  const auto& [heads, epsilon, x, n, mean, inv_std, w, next_norm, a, branch, dropout] = op;

  linear_forward(
      ctx,
      {.in = n, .weight = w.qkv.weight, .bias = w.qkv.bias, .out = a.qkv});  // (1) qkv: (B, T, 3C)
  attention_forward(ctx, {.qkv = a.qkv,
                          .out = a.attended,
                          .log_sum_exp = a.log_sum_exp,
                          .heads = heads,
                          .dropout = dropout.attention});  // (2) attended: (B, T, C)
  linear_forward(ctx, {.in = a.attended,
                       .weight = w.projection.weight,
                       .bias = w.projection.bias,
                       .out = branch});  // (3) branch: (B, T, C)
  residual_layernorm_forward(
      ctx, {.x = x,
            .branch = branch,
            .gain = w.norm2.gain,
            .bias = w.norm2.bias,
            .sum = a.x_mid,
            .normed = a.m,
            .mean = a.mean2,
            .inv_std = a.inv_std2,
            .epsilon = epsilon,
            .branch_dropout = dropout.attention_branch});  // (4) x_mid, m: (B, T, C)
  linear_gelu_forward(ctx, {.in = a.m,
                            .weight = w.expand.weight,
                            .bias = w.expand.bias,
                            .before = a.u,
                            .out = a.g});  // (5) u, g: (B, T, 4C)
}

void block_forward(ExecutionContext& ctx, const BlockOperands& op) {
  const auto& [heads, epsilon, x, n, mean, inv_std, w, next_norm, a, branch, dropout] = op;
  block_forward_inner(ctx, op);  // (1) to (5)

  linear_forward(ctx, {.in = a.g,
                       .weight = w.contract.weight,
                       .bias = w.contract.bias,
                       .out = branch});  // (6) branch: (B, T, C)
  residual_layernorm_forward(
      ctx, {.x = a.x_mid,
            .branch = branch,
            .gain = next_norm.gain,
            .bias = next_norm.bias,
            .sum = a.next_x,
            .normed = a.next_n,
            .mean = a.next_mean,
            .inv_std = a.next_inv_std,
            .epsilon = epsilon,
            .branch_dropout = dropout.mlp_branch});  // (7) next_x, next_n: (B, T, C)
}

void block_backward(ExecutionContext& ctx, const BlockOperands& op,
                    const BlockGradients& gradients) {
  const auto& [heads, epsilon, x, n, mean, inv_std, w, next_norm, a, branch, dropout] = op;
  const auto& [g, g_next_norm, d, mode, lowest, low_rank_scale] = gradients;
  // The gradient of what equation `number` reads: wanted where another equation follows.
  const auto above = [end = lowest](int number, const View& d_in) {
    return number > end ? std::optional<View>(d_in) : std::nullopt;
  };
  const auto adapt = [&ctx, &gradients](const LinearParameters<View>& weights,
                                        const LinearParameters<View>& linear, const View& in,
                                        const View& d_out) {
    if (!weights.low_rank || !linear.low_rank) return;
    low_rank_backward(ctx, {.d_out = d_out,
                            .in = in,
                            .adapter = *weights.low_rank,
                            .gradients = *linear.low_rank,
                            .scale = gradients.low_rank_scale,
                            .mode = gradients.mode});
  };

  residual_layernorm_backward(
      ctx, {.d_normed = d.n,
            .sum = a.next_x,
            .gain = next_norm.gain,
            .mean = a.next_mean,
            .inv_std = a.next_inv_std,
            .d_sum = d.x,
            .d_branch = d.branch,
            .d_gain = if_trained(g_next_norm.gain),
            .d_bias = if_trained(g_next_norm.bias),
            .d_gain_mode = mode,
            .branch_dropout = dropout.mlp_branch});  // (7)* d.x of x_mid, d.branch
  if (lowest == 7) return;
  const auto before = lowest < 6 ? std::optional<ConstView>(a.u) : std::nullopt;
  linear_backward(ctx, {.d_out = d.branch,
                        .in = a.g,
                        .weight = w.contract.weight,
                        .d_in = above(6, d.g),
                        .d_weight = if_trained(g.contract.weight),
                        .d_bias = if_trained(g.contract.bias),
                        .d_weight_mode = mode,
                        .before = before});  // (6)* and GELU's: d.g of u, (B, T, 4C)
  adapt(w.contract, g.contract, a.g, d.branch);
  if (lowest == 6) return;
  linear_backward(ctx, {.d_out = d.g,
                        .in = a.m,
                        .weight = w.expand.weight,
                        .d_in = above(5, d.n),
                        .d_weight = if_trained(g.expand.weight),
                        .d_bias = if_trained(g.expand.bias),
                        .d_weight_mode = mode});  // (5)* d.n of m
  adapt(w.expand, g.expand, a.m, d.g);
  if (lowest == 5) return;
  residual_layernorm_backward(
      ctx, {.d_normed = d.n,
            .sum = a.x_mid,
            .gain = w.norm2.gain,
            .mean = a.mean2,
            .inv_std = a.inv_std2,
            .d_sum = d.x,
            .d_branch = d.branch,
            .d_gain = if_trained(g.norm2.gain),
            .d_bias = if_trained(g.norm2.bias),
            .d_gain_mode = mode,
            .branch_dropout = dropout.attention_branch});  // (4)* d.x of x, d.branch
  if (lowest == 4) return;
  linear_backward(ctx, {.d_out = d.branch,
                        .in = a.attended,
                        .weight = w.projection.weight,
                        .d_in = above(3, d.attended),
                        .d_weight = if_trained(g.projection.weight),
                        .d_bias = if_trained(g.projection.bias),
                        .d_weight_mode = mode});  // (3)* d.attended: (B, T, C)
  adapt(w.projection, g.projection, a.attended, d.branch);
  if (lowest == 3) return;
  attention_backward(ctx, {.d_out = d.attended,
                           .qkv = a.qkv,
                           .out = a.attended,
                           .log_sum_exp = a.log_sum_exp,
                           .d_qkv = d.qkv,
                           .heads = heads,
                           .dropout = dropout.attention});  // (2)* d.qkv: (B, T, 3C)
  linear_backward(ctx, {.d_out = d.qkv,
                        .in = n,
                        .weight = w.qkv.weight,
                        .d_in = above(1, d.n),
                        .d_weight = if_trained(g.qkv.weight),
                        .d_bias = if_trained(g.qkv.bias),
                        .d_weight_mode = mode});  // (1)* d.n of n
  adapt(w.qkv, g.qkv, n, d.qkv);
}
// clang-format on

}  // namespace ovid::model
