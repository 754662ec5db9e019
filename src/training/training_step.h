#pragma once

#include <cstdint>
#include <optional>

#include "src/data/token_loader.h"
#include "src/distributed/communicator.h"
#include "src/distributed/single_rank_communicator.h"
#include "src/memory/execution.h"
#include "src/model/activations.h"
#include "src/model/merged_weights.h"
#include "src/model/model.h"
#include "src/model/parameters.h"
#include "src/optimizer/adamw_optimizer.h"
#include "src/optimizer/schedule.h"
#include "src/training/batch_feed.h"
#include "src/training/canonical_reduction.h"
#include "src/training/device_guard.h"
#include "src/training/gradient_exchange.h"
#include "src/training/loss_scale.h"
#include "src/training/run_plan.h"
#include "src/training/sharded_gradients.h"
#include "src/training/sharded_weights.h"

namespace ovid::training {

struct StepReport {
  double loss = 0;           // mean over the valid targets of the global batch, before the update
  double gradient_norm = 0;  // before clipping
  double learning_rate = 0;
  std::int64_t sequences = 0;
  std::int64_t tokens = 0;
  double seconds = 0;  // of gradients and update; on a GPU of the gradients, and of enqueuing it
  // Of this rank's forward and backward passes, without waiting for others; 0 on a GPU, where the
  // host does not know.
  double own_seconds = 0;
  std::optional<bool> left_out = std::nullopt;  // by the device's guard, where it judged
};

// The global batch that a rank's own is part of.
struct GlobalBatch {
  std::int64_t first_sequence = 0;  // counted over the run
  std::int64_t sequences = 0;       // of all ranks
  std::int64_t targets = 0;         // those that count, of all ranks
};

// For ModelPass.
struct WeightsOfPass {
  const model::ModelParameters<model::View>& views;
  model::WeightsNeeded on_needed = nullptr;
};

// Everything that a step of the optimizer works on: weights, gradients, moments, activations. On
// the plan's device, which must be open. Within a step the host waits once, to judge loss and norm:
// between gradients and update, or where the device judges too beside the update. With several
// ranks every member that computes is called by all of them alike; losses, norms and weights are
// then the same on all.
class TrainingStep {
 public:
  explicit TrainingStep(const RunPlan& plan) : TrainingStep(plan, nullptr) {}
  // The step of plan.ranks.rank; `communicator` joins the ranks and must outlive it.
  TrainingStep(const RunPlan& plan, distributed::Communicator& communicator)
      : TrainingStep(plan, &communicator) {}

  // Loss and gradients of the sequences of `batch`, of which `first_sequence` (counted over the
  // run) is the first; for the update after `step` others. Weights stay as they are.
  StepReport compute_gradients(const data::TokenBatch& batch, std::int64_t first_sequence,
                               std::int64_t step);
  // The same of a global batch, of which `batch` is this rank's share (data::share_of_batch).
  StepReport compute_gradients(const data::TokenBatch& batch, const GlobalBatch& whole,
                               std::int64_t step);

  // The update that `report` (of compute_gradients) belongs to, and the weights' average; adds its
  // seconds to the report. Enqueued.
  void update(StepReport& report, std::int64_t step);

  // From now on the device judges each step as a StepGuard of these would, where it can: on a
  // device, in one process, and where nothing but AdamW follows the gradients (no float16 loss
  // scale, no average of the weights, no canonical order).
  void guard_on_device(const GuardSettings& settings, const GuardState& state);
  bool guards_on_device() const { return device_guard_.has_value(); }
  // compute_gradients() and update() together, which needs the device's guard: the update is under
  // way, or left out, before the host knows loss and norm. The host waits beside the update.
  StepReport compute_and_update(const data::TokenBatch& batch, const GlobalBatch& whole,
                                std::int64_t step);

  // Both. Throws DivergedError before the update where loss or norm is not finite.
  StepReport run(const data::TokenBatch& batch, std::int64_t first_sequence, std::int64_t step);

  // To be called once the float32 weights are filled, after `steps` updates and before the moments
  // are filled: what is computed from weights follows.
  void adopt_weights(std::int64_t steps);

  kernels::ExecutionContext& context() { return execution_.context(); }
  kernels::cuda::Device* device() const { return plan_.target().device; }  // null: the CPU
  // float32, what checkpoints hold. Not where a rank keeps nothing but its part
  // (RunPlan::shards_weights), which sharded_weights() has then, null else.
  model::ParameterSet& weights() { return weights_.value(); }
  ShardedWeights* sharded_weights() { return sharded_weights_ ? &*sharded_weights_ : nullptr; }
  // Of the last compute_gradients(), before clipping; over all ranks, or this rank's part of them.
  // Not where a rank keeps nothing but its part (RunPlan::shards_gradients).
  const model::ParameterSet& gradients() const { return gradients_.value(); }
  // What the model is computed from: in the plan's number type, and without adapters. As weights().
  const model::ParameterSet& compute_weights() const {
    return rounded_ ? *rounded_ : weights_.value();
  }
  // The same as a pass reads it, with adapters merged and parts gathered; until the next update.
  WeightsOfPass weights_of_pass();
  // The same in a set of its own, of a plan with adapters. Throws ResourceError.
  model::ParameterSet merged_weights();
  // The same of a plan that shards weights, on the ranks that want it. Collective.
  std::optional<model::ParameterSet> collected_weights(bool wanted);
  optimizer::AdamWOptimizer& optimizer() { return optimizer_; }
  model::ParameterSet* average() { return average_ ? &*average_ : nullptr; }  // null: none is kept
  // The average in the plan's number type, as it is now; there must be one.
  const model::ParameterSet& compute_average();
  const model::Activations& activations() const { return activations_; }
  // Null where no sums go beside the backward pass, or on a device, where the host does not know.
  const ExchangeTime* exchange_time() const {
    return exchange_ && plan_.target().kind == kernels::DeviceKind::kCpu ? &exchange_->time()
                                                                         : nullptr;
  }
  LossScale& loss_scale() { return loss_scale_; }  // of float16

  // Waits until all that was enqueued is done.
  void synchronize();

 private:
  TrainingStep(const RunPlan& plan, distributed::Communicator* communicator);

  void enqueue_gradients(const data::TokenBatch& batch, const GlobalBatch& whole, float scale);
  void enqueue_pass(const data::TokenBatch& batch, std::int64_t first, std::int64_t first_sequence,
                    const model::ModelParameters<model::View>& gradients,
                    kernels::GradientMode mode, float scale);
  // Gradients, norm and judgement, up to where the host would wait.
  void enqueue_step(const data::TokenBatch& batch, const GlobalBatch& whole);
  // Once these are done.
  StepReport report_of(const data::TokenBatch& batch, const GlobalBatch& whole, std::int64_t step);
  double sum_of_losses(const data::TokenBatch& batch, const GlobalBatch& whole);
  void measure_gradients(float unscale);
  // Of a step in which this rank has `own` of the batch's `sequences`: all ranks make as many
  // passes, where they gather weights or reduce gradients in each.
  void join_passes(std::int64_t own, std::int64_t sequences);
  optimizer::AdamWUpdate update_operands();
  void gather_updated();  // what each rank updated for all, to all
  // Whether sums go over ranks, or in canonical order.
  bool sums_over_sequences() const { return communicator_.count() > 1 || canonical_; }

  const RunPlan& plan_;
  distributed::SingleRankCommunicator alone_;
  distributed::Communicator& communicator_;
  memory::Execution execution_;
  std::optional<model::ParameterSet> weights_;  // or sharded_weights_
  std::optional<model::ParameterSet> rounded_;
  std::optional<model::MergedWeights> merged_;    // of a plan with adapters
  std::optional<model::ParameterSet> gradients_;  // whole
  optimizer::AdamWOptimizer optimizer_;
  std::optional<ShardedWeights> sharded_weights_;
  std::optional<model::ParameterSet> average_;
  std::optional<model::ParameterSet> rounded_average_;
  memory::Arena arena_;
  model::Activations activations_;
  model::ActivationGradients activation_gradients_;
  BatchFeed feed_;
  optimizer::Schedule schedule_;
  LossScale loss_scale_;
  double own_seconds_ = 0;  // StepReport's, of the step that was enqueued last
  std::optional<DeviceGuard> device_guard_;
  // Of several ranks, but for canonical order, one of these: of whole gradients, or of parts alone.
  std::optional<GradientExchange> exchange_;
  std::optional<ShardedGradients> sharded_gradients_;
  std::optional<CanonicalReduction> canonical_;
};

}  // namespace ovid::training
