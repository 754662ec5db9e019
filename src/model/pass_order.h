#pragma once

#include "src/model/model.h"
#include "src/model/model_config.h"

// What a pass tells of, in the same order, with nothing computed: for a rank that has no sequences
// in a pass of the others, and must join what they exchange meanwhile.
namespace ovid::model {

struct PassHooks {
  WeightsNeeded on_weights_needed = nullptr;
  GradientNeeded on_gradient_needed = nullptr;
  GradientReady on_gradient_ready = nullptr;
};

// As model_forward and model_loss after it.
void tell_of_forward(const ModelConfig& config, const WeightsNeeded& on_weights_needed);

// As model_forward_backward of a model of which nothing is frozen.
void tell_of_forward_backward(const ModelConfig& config, const PassHooks& hooks);

}  // namespace ovid::model
