#include "src/optimizer/adamw_optimizer.h"

#include <cmath>

#include "kernels/adamw/adamw.h"
#include "kernels/gradient_norm/gradient_norm.h"

namespace ovid::optimizer {

AdamWOptimizer::AdamWOptimizer(const model::ModelConfig& config, AdamWSettings settings)
    : settings_(settings),
      first_moment_(config, "first moments of AdamW"),
      second_moment_(config, "second moments of AdamW") {}

double AdamWOptimizer::gradient_norm(kernels::ExecutionContext& ctx,
                                     model::ParameterSet& gradients) {
  double sum_of_squares = 0;
  kernels::gradient_norm(
      ctx, {.gradient = gradients.flat(),
            .sum_of_squares = model::View(&sum_of_squares, model::DType::kFloat64, {})});
  return std::sqrt(sum_of_squares);
}

void AdamWOptimizer::update(kernels::ExecutionContext& ctx, model::ParameterSet& weights,
                            const model::ParameterSet& gradients, double norm, double learning_rate,
                            std::int64_t step) {
  const bool clips = settings_.gradient_clip > 0 && norm > settings_.gradient_clip;
  const auto scale = clips ? static_cast<float>(settings_.gradient_clip / norm) : 1.0f;
  for (std::size_t i = 0; i < weights.tensors().size(); ++i) {
    const model::ParameterSet::Tensor& weight = weights.tensors()[i];
    const auto flat = [](const model::View& view) {
      return view.reshaped(model::Shape{view.elements()});
    };
    kernels::adamw_update(
        ctx, {.weight = flat(weight.view),
              .gradient = flat(gradients.tensors()[i].view),
              .first_moment = flat(first_moment_.tensors()[i].view),
              .second_moment = flat(second_moment_.tensors()[i].view),
              .gradient_scale = scale,
              .learning_rate = learning_rate,
              .beta1 = settings_.beta1,
              .beta2 = settings_.beta2,
              .epsilon = settings_.epsilon,
              .weight_decay = weight.description.decays() ? settings_.weight_decay : 0.0,
              .step = step});
  }
}

}  // namespace ovid::optimizer
