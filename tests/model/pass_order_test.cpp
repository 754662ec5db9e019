#include "src/model/pass_order.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "kernels/common/scratch.h"
#include "src/memory/arena.h"
#include "src/model/activations.h"
#include "tests/catch.h"

namespace ovid::model {
namespace {

using Events = std::vector<std::string>;

PassHooks recorded_in(Events& events) {
  return {.on_weights_needed =
              [&](std::size_t group) { events.push_back(fmt::format("weights {}", group)); },
          .on_gradient_needed =
              [&](std::size_t group) { events.push_back(fmt::format("gradient {}", group)); },
          .on_gradient_ready =
              [&](std::int64_t block) { events.push_back(fmt::format("ready {}", block)); }};
}

// What passes of the model tell of: of forward and loss, and of all three.
struct Told {
  Events forward, all;
};

Told told_by_passes(const ModelConfig& config) {
  const BatchShape batch{.sequences = 2, .length = 4};
  kernels::ScratchArena scratch;
  ExecutionContext ctx = ExecutionContext::dry_run(kernels::DeviceKind::kCpu, 1, scratch);
  memory::Arena arena("measure");
  const ParameterSet weights(config, "measure", true), gradients(config, "measure", true);
  const Activations activations =
      lay_out_activations(arena, config, batch, Keep::kForBackward, DType::kFloat32);
  const ActivationGradients d = lay_out_activation_gradients(arena, config, batch, DType::kFloat32);
  const kernels::ConstView tokens(nullptr, DType::kInt32, Shape{batch.sequences, batch.length});
  Told told;
  const auto pass_into = [&](Events& events) {
    return ModelPass{.config = config,
                     .weights = weights.views(),
                     .tokens = tokens,
                     .activations = activations,
                     .on_weights_needed = recorded_in(events).on_weights_needed};
  };
  model_forward(ctx, pass_into(told.forward));
  model_loss(ctx, pass_into(told.forward), tokens);
  const PassHooks hooks = recorded_in(told.all);
  model_forward_backward(ctx,
                         {.pass = pass_into(told.all),
                          .gradients = gradients.views(),
                          .d = d,
                          .on_gradient_ready = hooks.on_gradient_ready,
                          .on_gradient_needed = hooks.on_gradient_needed},
                         tokens, 1.0f);
  return told;
}

}  // namespace

TEST_CASE("a pass without sequences tells of the same in the same order as one with them",
          "[model]") {
  for (const bool tied : {true, false}) {
    for (const std::int64_t layers : {1, 2, 5}) {
      INFO((tied ? "tied, " : "untied, ") << layers);
      const ModelConfig config{.layers = layers,
                               .heads = 2,
                               .width = 8,
                               .context_length = 4,
                               .vocabulary_size = 7,
                               .tied_head = tied};
      const Told told = told_by_passes(config);
      Events forward, all;
      tell_of_forward(config, recorded_in(forward).on_weights_needed);
      tell_of_forward_backward(config, recorded_in(all));
      CHECK(forward == told.forward);
      CHECK(all == told.all);
    }
  }
}

}  // namespace ovid::model
