#pragma once

#include <cstdint>
#include <optional>

#include "src/data/token_loader.h"
#include "src/memory/execution.h"
#include "src/model/activations.h"
#include "src/model/parameters.h"
#include "src/optimizer/adamw_optimizer.h"
#include "src/optimizer/schedule.h"
#include "src/training/batch_feed.h"
#include "src/training/loss_scale.h"
#include "src/training/run_plan.h"

namespace ovid::training {

struct StepReport {
  double loss = 0;           // mean over the valid targets of the global batch, before the update
  double gradient_norm = 0;  // before clipping
  double learning_rate = 0;
  std::int64_t sequences = 0;
  std::int64_t tokens = 0;
  double seconds = 0;  // of gradients and update; on a GPU of the gradients, and of enqueuing it
};

// Everything that a step of the optimizer works on: weights, gradients, moments, activations. On
// the plan's device, which must be open. Within a step the host waits once: between gradients and
// update, to judge loss and norm.
class TrainingStep {
 public:
  explicit TrainingStep(const RunPlan& plan);

  // Loss and gradients of the sequences of `batch`, of which `first_sequence` (counted over the
  // run) is the first; for the update after `step` others. Weights stay as they are.
  StepReport compute_gradients(const data::TokenBatch& batch, std::int64_t first_sequence,
                               std::int64_t step);

  // The update that `report` (of compute_gradients) belongs to, and the weights' average; adds its
  // seconds to the report. Enqueued.
  void update(StepReport& report, std::int64_t step);

  // Both. Throws DivergedError before the update where loss or norm is not finite.
  StepReport run(const data::TokenBatch& batch, std::int64_t first_sequence, std::int64_t step);

  // To be called once the float32 weights are filled, after `steps` updates and before the moments
  // are filled: what is computed from weights follows.
  void adopt_weights(std::int64_t steps);

  kernels::ExecutionContext& context() { return execution_.context(); }
  model::ParameterSet& weights() { return weights_; }  // float32, what checkpoints hold
  // What the model is computed from: in the plan's number type.
  const model::ParameterSet& compute_weights() const { return rounded_ ? *rounded_ : weights_; }
  optimizer::AdamWOptimizer& optimizer() { return optimizer_; }
  model::ParameterSet* average() { return average_ ? &*average_ : nullptr; }  // null: none is kept
  // The average in the plan's number type, as it is now; there must be one.
  const model::ParameterSet& compute_average();
  const model::Activations& activations() const { return activations_; }
  LossScale& loss_scale() { return loss_scale_; }  // of float16

  // Waits until all that was enqueued is done.
  void synchronize();

 private:
  void enqueue_gradients(const data::TokenBatch& batch, std::int64_t first_sequence, float scale);

  const RunPlan& plan_;
  memory::Execution execution_;
  model::ParameterSet weights_;
  std::optional<model::ParameterSet> rounded_;
  model::ParameterSet gradients_;
  optimizer::AdamWOptimizer optimizer_;
  std::optional<model::ParameterSet> average_;
  std::optional<model::ParameterSet> rounded_average_;
  memory::Arena arena_;
  model::Activations activations_;
  model::ActivationGradients activation_gradients_;
  BatchFeed feed_;
  optimizer::Schedule schedule_;
  LossScale loss_scale_;
};

}  // namespace ovid::training
