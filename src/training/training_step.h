#pragma once

#include <cstdint>
#include <optional>

#include "src/data/token_loader.h"
#include "src/memory/execution.h"
#include "src/model/activations.h"
#include "src/model/parameters.h"
#include "src/optimizer/adamw_optimizer.h"
#include "src/optimizer/schedule.h"
#include "src/training/run_plan.h"

namespace ovid::training {

struct StepReport {
  double loss = 0;           // mean over the valid targets of the global batch, before the update
  double gradient_norm = 0;  // before clipping
  double learning_rate = 0;
  std::int64_t sequences = 0;
  std::int64_t tokens = 0;
  double seconds = 0;  // of gradients and update
};

// Everything that a step of the optimizer works on: weights, gradients, moments, activations.
class TrainingStep {
 public:
  explicit TrainingStep(const RunPlan& plan);

  // Loss and gradients of the sequences of `batch`, of which `first_sequence` (counted over the
  // run) is the first; for the update after `step` others. Weights stay as they are.
  StepReport compute_gradients(const data::TokenBatch& batch, std::int64_t first_sequence,
                               std::int64_t step);

  // The update that `report` (of compute_gradients) belongs to, and the weights' average; adds its
  // seconds to the report.
  void update(StepReport& report, std::int64_t step);

  // Both. Throws DivergedError before the update where loss or norm is not finite.
  StepReport run(const data::TokenBatch& batch, std::int64_t first_sequence, std::int64_t step);

  kernels::ExecutionContext& context() { return execution_.context(); }
  model::ParameterSet& weights() { return weights_; }
  optimizer::AdamWOptimizer& optimizer() { return optimizer_; }
  model::ParameterSet* average() { return average_ ? &*average_ : nullptr; }  // null: none is kept
  const model::Activations& activations() const { return activations_; }

 private:
  const RunPlan& plan_;
  memory::Execution execution_;
  model::ParameterSet weights_;
  model::ParameterSet gradients_;
  optimizer::AdamWOptimizer optimizer_;
  std::optional<model::ParameterSet> average_;
  memory::Arena arena_;
  model::Activations activations_;
  model::ActivationGradients activation_gradients_;
  optimizer::Schedule schedule_;
};

}  // namespace ovid::training
