#pragma once

#include <cstdint>

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
  std::int64_t tokens = 0;
  double seconds = 0;
};

// Everything that a step of the optimizer works on: weights, gradients, moments, activations.
class TrainingStep {
 public:
  explicit TrainingStep(const RunPlan& plan);

  // One update, the one after `step` others, with the sequences of `batch`, of which
  // `first_sequence` (counted over the run) is the first. Throws DivergedError before the update
  // where loss or norm is not finite.
  StepReport run(const data::TokenBatch& batch, std::int64_t first_sequence, std::int64_t step);

  kernels::ExecutionContext& context() { return execution_.context(); }
  model::ParameterSet& weights() { return weights_; }
  optimizer::AdamWOptimizer& optimizer() { return optimizer_; }
  const model::Activations& activations() const { return activations_; }

 private:
  const RunPlan& plan_;
  memory::Execution execution_;
  model::ParameterSet weights_;
  model::ParameterSet gradients_;
  optimizer::AdamWOptimizer optimizer_;
  memory::Arena arena_;
  model::Activations activations_;
  model::ActivationGradients activation_gradients_;
  optimizer::Schedule schedule_;
};

}  // namespace ovid::training
