#include "src/model/pass_order.h"

namespace ovid::model {
namespace {

std::size_t end_group(const ModelConfig& config) {
  return static_cast<std::size_t>(config.layers) + 1;
}

std::size_t head_group(const ModelConfig& config) {
  return config.tied_head ? 0 : end_group(config);
}

template <class Hook, class Argument>
void tell(const Hook& hook, Argument argument) {
  if (hook) hook(argument);
}

}  // namespace

void tell_of_forward(const ModelConfig& config, const WeightsNeeded& on_weights_needed) {
  tell(on_weights_needed, std::size_t{0});
  tell(on_weights_needed, std::size_t{1});
  for (std::size_t block = 1; block < end_group(config); ++block) {
    tell(on_weights_needed, block);
    tell(on_weights_needed, block + 1);
  }
  tell(on_weights_needed, head_group(config));
}

void tell_of_forward_backward(const ModelConfig& config, const PassHooks& hooks) {
  tell_of_forward(config, hooks.on_weights_needed);
  const std::size_t end = end_group(config);
  tell(hooks.on_gradient_needed, head_group(config));
  if (config.tied_head) tell(hooks.on_gradient_needed, end);
  for (std::size_t block = end; block-- > 1;) {
    tell(hooks.on_gradient_needed, block);
    tell(hooks.on_weights_needed, block);
    tell(hooks.on_weights_needed, block + 1);
    tell(hooks.on_gradient_ready, static_cast<std::int64_t>(block) - 1);
  }
  if (!config.tied_head) tell(hooks.on_gradient_needed, std::size_t{0});
  tell(hooks.on_weights_needed, std::size_t{1});
  tell(hooks.on_gradient_ready, std::int64_t{-1});
}

}  // namespace ovid::model
