#include "src/model/backward_extent.h"

#include <cstddef>

#include "src/model/parameters.h"

namespace ovid::model {
namespace {

bool any(const NormParameters<bool>& norm) {
  return norm.gain || norm.bias;
}
bool any(const LinearParameters<bool>& linear) {
  const auto& adapter = linear.low_rank;
  return linear.weight || linear.bias || (adapter && (adapter->a || adapter->b));
}

// Of one block and the norm behind it; 0: nothing of them is trained.
int lowest_equation(const BlockParameters<bool>& block, const NormParameters<bool>& next_norm) {
  if (any(block.qkv)) return 1;
  if (any(block.projection)) return 3;
  if (any(block.norm2)) return 4;
  if (any(block.expand)) return 5;
  if (any(block.contract)) return 6;
  return any(next_norm) ? 7 : 0;
}

}  // namespace

BackwardExtent backward_extent(const ModelConfig& config) {
  const ModelParameters<bool> trained =
      build_parameters(config, [](const TensorDescription& t) { return t.trained; });
  if (trained.token_embedding || trained.position_embedding) return {.block = -1, .equation = 0};
  if (any(trained.blocks.front().norm1)) return {.block = -1, .equation = 7};
  for (std::int64_t i = 0; i < config.layers; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const bool last = i + 1 == config.layers;
    const int equation = lowest_equation(trained.blocks[at],
                                         last ? trained.final_norm : trained.blocks[at + 1].norm1);
    if (equation > 0) return {.block = i, .equation = equation};
  }
  return {.block = config.layers, .equation = 0};
}

}  // namespace ovid::model
