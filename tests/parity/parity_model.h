#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/core/file.h"
#include "src/memory/execution.h"
#include "src/model/model.h"

namespace ovid::test {

// A model directory read through the checkpoint module, with all that a training pass of one batch
// shape needs, on the CPU. Throws what the modules throw.
class ParityModel {
 public:
  ParityModel(const Path& directory, model::BatchShape batch, int threads = 2);

  const model::ModelConfig& config() const { return config_; }
  model::BatchShape batch() const { return batch_; }
  model::ParameterSet& weights() { return weights_; }
  model::ParameterSet& gradients() { return gradients_; }
  const model::Activations& activations() const { return activations_; }
  kernels::ExecutionContext& context() { return execution_.context(); }

  // Logits (B, T, V) of tokens (B, T), in C order; all activations are left behind.
  std::vector<float> logits(std::span<const std::int32_t> tokens);

  // Adds scale * d(sum of losses)/d(weights) to the gradients; returns the sum of losses, in nats.
  double accumulate_gradients(std::span<const std::int32_t> tokens,
                              std::span<const std::int32_t> targets, float scale);
  void zero_gradients();

 private:
  kernels::ConstView batch_view(std::span<const std::int32_t> values) const;
  model::ModelPass pass(std::span<const std::int32_t> tokens) const;

  model::ModelConfig config_;
  model::BatchShape batch_;
  model::ParameterSet weights_;
  model::ParameterSet gradients_;
  memory::Arena arena_;
  model::Activations activations_;
  model::ActivationGradients activation_gradients_;
  memory::Execution execution_;
};

// Fills the weights from a model directory.
void read_weights(const Path& directory, const model::ParameterSet& weights);

}  // namespace ovid::test
