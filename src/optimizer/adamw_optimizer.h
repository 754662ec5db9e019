#pragma once

#include <cstdint>

#include "kernels/common/execution_context.h"
#include "src/model/parameters.h"

namespace ovid::optimizer {

struct AdamWSettings {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.1;   // on matrices only
  double gradient_clip = 1.0;  // the largest global norm; 0: no clipping
};

// AdamW over all parameters of a model, with its two moments. Weights and gradients belong to the
// caller.
class AdamWOptimizer {
 public:
  AdamWOptimizer(const model::ModelConfig& config, AdamWSettings settings);

  // The global norm of `gradients` before clipping. Waits for the device.
  double gradient_norm(kernels::ExecutionContext& ctx, model::ParameterSet& gradients);

  // One update, the `step`-th, counted from 1. `norm` is what gradient_norm returned.
  void update(kernels::ExecutionContext& ctx, model::ParameterSet& weights,
              const model::ParameterSet& gradients, double norm, double learning_rate,
              std::int64_t step);

  model::ParameterSet& first_moment() { return first_moment_; }
  model::ParameterSet& second_moment() { return second_moment_; }

 private:
  AdamWSettings settings_;
  model::ParameterSet first_moment_;
  model::ParameterSet second_moment_;
};

}  // namespace ovid::optimizer
