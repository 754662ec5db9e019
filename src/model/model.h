#pragma once

#include <cstdint>
#include <functional>

#include "kernels/common/execution_context.h"
#include "src/memory/compute_target.h"
#include "src/model/activations.h"
#include "src/model/parameters.h"

// The whole network: embeddings, blocks, head; forward and backward. docs/math/block.md has the
// equations.
namespace ovid::model {

using kernels::ExecutionContext;

// Names the dropout masks of one pass. `pass` counts micro-batches over the whole run, so that no
// two share a mask and a resumed run draws the ones that it would have drawn.
struct DropoutKey {
  std::uint64_t seed = 0;
  std::uint64_t pass = 0;
};

// Told which group of weights (ShardLayout::groups: 0 the embeddings, 1 + i block i, L + 1 what
// follows the last block) is read next, before every use, so that weights that are gathered or
// merged when needed (ZeRO stage 3, low-rank adapters) can be put where the pass's views point. At
// most three groups are in use at a time: a block, the one behind it, whose first norm it computes,
// and at either end the embeddings.
using WeightsNeeded = std::function<void(std::size_t group)>;

struct ModelPass {
  const ModelConfig& config;
  const ModelParameters<View>& weights;
  ConstView tokens;  // (B, T) int32 in [0, V)
  const Activations& activations;
  std::optional<DropoutKey> dropout = std::nullopt;  // absent: no dropout, as in evaluation
  // (B T) float32, written in place of activations.losses, so that a step of several passes keeps
  // the losses of all; absent: there
  std::optional<View> losses = std::nullopt;
  WeightsNeeded on_weights_needed = nullptr;
};

// Told which part of the gradients is complete, while the backward pass goes on: block index from L
// - 1 down to 0, then -1 for the embeddings. For overlapping communication; the model knows nothing
// of it.
using GradientReady = std::function<void(std::int64_t block)>;

// Told which group of gradients is written next, once for each in a backward pass, before anything
// of it is, so that its full gradients can have their place for that long alone (ZeRO stage 2): it
// is written from here until GradientReady tells of the block before it.
using GradientNeeded = std::function<void(std::size_t group)>;

struct ModelBackward {
  ModelPass pass;  // of the forward pass
  const ModelParameters<View>& gradients;
  const ActivationGradients& d;  // in: d.n of the final norm's output
  GradientReady on_gradient_ready = nullptr;
  GradientNeeded on_gradient_needed = nullptr;
  // kOverwrite: what `gradients` held before counts for nothing, as in the first micro-batch of a
  // step.
  kernels::GradientMode mode = kernels::GradientMode::kAccumulate;
};

// Tokens to activations.final_n(). Enqueued on ctx; throws ShapeError.
void model_forward(ExecutionContext& ctx, const ModelPass& pass);

// Loss of `targets` (B, T) per position into activations.losses, from activations.final_n().
void model_loss(ExecutionContext& ctx, const ModelPass& pass, ConstView targets);

// Forward, loss and backward: gradients += scale * d(sum of losses)/d(weights), or = by `mode`.
// `scale` is usually 1 / (number of valid targets of the global batch), which makes the sum over
// micro-batches the gradient of the global mean. Frozen tensors, whose views in `gradients` have no
// element, get none, and the pass ends at the lowest tensor that is trained; ready and needed are
// told of all groups all the same.
void model_forward_backward(ExecutionContext& ctx, const ModelBackward& op, ConstView targets,
                            float scale);

// The scratch that the ops of one pass need at once, found by a dry run; with the backward pass
// unless nothing is kept for it. `gradients`: the number types of the gradients of the parameters.
// Needs no device.
std::size_t measure_scratch(const ModelConfig& config, BatchShape batch,
                            const memory::ComputeTarget& target, Keep keep,
                            const ParameterStorage& gradients = {});

}  // namespace ovid::model
