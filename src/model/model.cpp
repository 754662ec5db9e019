#include "src/model/model.h"

#include "kernels/convert/convert.h"
#include "kernels/dropout/dropout.h"
#include "kernels/embedding/embedding.h"
#include "kernels/layernorm/layernorm.h"
#include "src/model/backward_extent.h"
#include "src/model/block.h"
#include "src/model/language_model_head.h"
#include "src/model/merged_weights.h"
#include "src/model/recompute.h"

namespace ovid::model {
namespace {

using kernels::DropoutMask;
using kernels::GradientMode;

void need(const ModelPass& pass, std::int64_t group) {
  if (pass.on_weights_needed) pass.on_weights_needed(static_cast<std::size_t>(group));
}

// Block i, and the norm behind it.
void need_block(const ModelPass& pass, std::int64_t i) {
  need(pass, 1 + i);
  need(pass, 2 + i);
}

void need_head(const ModelPass& pass) {
  need(pass, pass.config.tied_head ? 0 : 1 + pass.config.layers);
}

void need_gradient(const ModelBackward& op, std::int64_t group) {
  if (op.on_gradient_needed) op.on_gradient_needed(static_cast<std::size_t>(group));
}

// Sites within a pass: 0 is the embedding, block i has 1 + 3 i and the two after it.
std::optional<DropoutMask> mask_at(const ModelPass& pass, float probability, std::int64_t site) {
  if (!pass.dropout || probability <= 0.0f) return std::nullopt;
  return DropoutMask{.probability = probability,
                     .stream = {.seed = pass.dropout->seed,
                                .use = kernels::RandomUse::kDropout,
                                .major = pass.dropout->pass,
                                .minor = static_cast<std::uint32_t>(site)}};
}

BlockOperands block_operands(const ModelPass& pass, std::int64_t i) {
  const ModelConfig& config = pass.config;
  const Activations& a = pass.activations;
  const auto at = static_cast<std::size_t>(i);
  const bool last = i + 1 == config.layers;
  const bool first = i == 0;
  return {.heads = config.heads,
          .epsilon = config.layernorm_epsilon,
          .x = first ? a.x0 : a.blocks[at - 1].next_x,
          .n = first ? a.n0 : a.blocks[at - 1].next_n,
          .mean = first ? a.mean0 : a.blocks[at - 1].next_mean,
          .inv_std = first ? a.inv_std0 : a.blocks[at - 1].next_inv_std,
          .weights = pass.weights.blocks[at],
          .next_norm = last ? pass.weights.final_norm : pass.weights.blocks[at + 1].norm1,
          .a = a.blocks[at],
          .branch = a.branch,
          .dropout = {.attention = mask_at(pass, config.attention_dropout, 1 + 3 * i),
                      .attention_branch = mask_at(pass, config.residual_dropout, 2 + 3 * i),
                      .mlp_branch = mask_at(pass, config.residual_dropout, 3 + 3 * i)}};
}

LanguageModelHead head_operands(const ModelPass& pass, ConstView targets) {
  const Activations& a = pass.activations;
  return {.normed = a.final_n(),
          .weight = pass.weights.head,
          .targets = targets,
          .losses = pass.losses.value_or(a.losses),
          .logits = a.logits};
}

void embeddings_forward(ExecutionContext& ctx, const ModelPass& pass) {
  need(pass, 0);
  need(pass, 1);
  const Activations& a = pass.activations;
  embedding_forward(ctx, {.tokens = pass.tokens,
                          .token_embedding = pass.weights.token_embedding,
                          .position_embedding = pass.weights.position_embedding,
                          .out = a.x0});
  if (const auto mask = mask_at(pass, pass.config.embedding_dropout, 0)) {
    dropout_forward(ctx, {.in = a.x0, .out = a.x0, .mask = *mask});
  }
  const NormParameters<View>& norm = pass.weights.blocks.front().norm1;
  layernorm_forward(ctx, {.in = a.x0,
                          .gain = norm.gain,
                          .bias = norm.bias,
                          .out = a.n0,
                          .mean = a.mean0,
                          .inv_std = a.inv_std0,
                          .epsilon = pass.config.layernorm_epsilon});
}

void embeddings_backward(ExecutionContext& ctx, const ModelBackward& op,
                         const BackwardExtent& extent) {
  const ModelPass& pass = op.pass;
  need(pass, 1);
  const Activations& a = pass.activations;
  const NormParameters<View>& g = op.gradients.blocks.front().norm1;
  // The first norm is a residual sum with an empty branch: its adjoint adds to what the stream
  // already gathered.
  residual_layernorm_backward(ctx, {.d_normed = op.d.n,
                                    .sum = a.x0,
                                    .gain = pass.weights.blocks.front().norm1.gain,
                                    .mean = a.mean0,
                                    .inv_std = a.inv_std0,
                                    .d_sum = op.d.x,
                                    .d_branch = op.d.x,
                                    .d_gain = if_trained(g.gain),
                                    .d_bias = if_trained(g.bias),
                                    .d_gain_mode = op.mode});
  if (extent.lowest_of(-1) > 0) return;
  if (const auto mask = mask_at(pass, pass.config.embedding_dropout, 0)) {
    dropout_backward(ctx, {.d_out = op.d.x, .d_in = op.d.x, .mask = *mask});
  }
  if (op.mode == GradientMode::kOverwrite) {
    // The embedding's gradient only adds, to the rows of the batch's tokens; a tied head has
    // written to all of them before.
    const auto clear = [&](const View& gradient) {
      if (gradient.elements() > 0) set_zero(ctx, {.out = gradient});
    };
    clear(op.gradients.position_embedding);
    if (!pass.config.tied_head) clear(op.gradients.token_embedding);
  }
  embedding_backward(ctx, {.tokens = pass.tokens,
                           .d_out = op.d.x,
                           .d_token_embedding = if_trained(op.gradients.token_embedding),
                           .d_position_embedding = if_trained(op.gradients.position_embedding)});
}

}  // namespace

void model_forward(ExecutionContext& ctx, const ModelPass& pass) {
  embeddings_forward(ctx, pass);
  for (std::int64_t i = 0; i < pass.config.layers; ++i) {
    need_block(pass, i);
    block_forward(ctx, block_operands(pass, i));
  }
}

void model_loss(ExecutionContext& ctx, const ModelPass& pass, ConstView targets) {
  need_head(pass);
  language_model_head(ctx, head_operands(pass, targets));
}

void model_forward_backward(ExecutionContext& ctx, const ModelBackward& op, ConstView targets,
                            float scale) {
  model_forward(ctx, op.pass);

  need_head(op.pass);
  const BackwardExtent extent = backward_extent(op.pass.config);
  const LowRankConfig& low_rank = op.pass.config.low_rank;
  const double low_rank_scale = low_rank.rank > 0 ? low_rank.scale() : 0.0;
  const std::int64_t end = 1 + op.pass.config.layers;  // the group behind the last block
  need_gradient(op, op.pass.config.tied_head ? 0 : end);
  LanguageModelHead head = head_operands(op.pass, targets);
  head.scale = scale;
  if (extent.block < op.pass.config.layers) head.d_normed.emplace(op.d.n);
  head.d_weight = if_trained(op.gradients.head);
  head.d_weight_mode = op.mode;
  language_model_head(ctx, head);

  set_zero(ctx, {.out = op.d.x});  // the last block's stream has no reader but the final norm
  for (std::int64_t i = op.pass.config.layers - 1; i >= 0; --i) {
    const auto at = static_cast<std::size_t>(i);
    const bool last = i + 1 == op.pass.config.layers;
    const NormParameters<View>& next_norm =
        last ? op.gradients.final_norm : op.gradients.blocks[at + 1].norm1;
    if (last && op.pass.config.tied_head) need_gradient(op, end);
    need_gradient(op, 1 + i);
    if (i < extent.block) {
      if (op.on_gradient_ready) op.on_gradient_ready(i);
      continue;
    }
    need_block(op.pass, i);
    const BlockOperands operands = block_operands(op.pass, i);
    recompute_block(ctx, operands, i == 0, op.pass.activations.keep);
    block_backward(ctx, operands,
                   {.weights = op.gradients.blocks[at],
                    .next_norm = next_norm,
                    .d = op.d,
                    .mode = op.mode,
                    .lowest = extent.lowest_of(i),
                    .low_rank_scale = static_cast<float>(low_rank_scale)});
    if (op.on_gradient_ready) op.on_gradient_ready(i);
  }
  if (!op.pass.config.tied_head) need_gradient(op, 0);
  if (extent.block < 0) embeddings_backward(ctx, op, extent);
  if (op.on_gradient_ready) op.on_gradient_ready(-1);
}

std::size_t measure_scratch(const ModelConfig& config, BatchShape batch,
                            const memory::ComputeTarget& target, Keep keep,
                            const ParameterStorage& gradients) {
  kernels::ScratchArena scratch;
  ExecutionContext ctx = ExecutionContext::dry_run(target.kind, target.threads, scratch);
  memory::Arena arena("measure");
  const ParameterSet weights(config, "measure", {.dtype = target.dtype, .only_measures = true});
  const Activations activations = lay_out_activations(arena, config, batch, keep, target.dtype);
  const ConstView tokens(nullptr, DType::kInt32, Shape{batch.sequences, batch.length});
  MergedWeights::measure_scratch(ctx, config);
  // A probability of 0 still has a site, so dropout is on: its ops may need scratch.
  const ModelPass pass{.config = config,
                       .weights = weights.views(),
                       .tokens = tokens,
                       .activations = activations,
                       .dropout = DropoutKey{}};
  if (keep == Keep::kNothing) {
    model_forward(ctx, pass);
    model_loss(ctx, pass, tokens);
    return scratch.high_water();
  }
  const ParameterSet measured(config, "measure",
                              {.dtype = gradients.dtype,
                               .head_dtype = gradients.head_dtype,
                               .only_measures = true,
                               .trained_only = gradients.trained_only});
  const ActivationGradients d = lay_out_activation_gradients(arena, config, batch, target.dtype);
  // Adding to a gradient may take scratch that overwriting it does not, and the other way round.
  for (const GradientMode mode : {GradientMode::kOverwrite, GradientMode::kAccumulate}) {
    model_forward_backward(ctx, {.pass = pass, .gradients = measured.views(), .d = d, .mode = mode},
                           tokens, 1.0f);
  }
  return scratch.high_water();
}

}  // namespace ovid::model
