#include "src/model/merged_weights.h"

#include "src/model/low_rank.h"

namespace ovid::model {
namespace {

// The linears of a block that have an adapter, in the order of the block.
template <class Block>
auto adapted(Block& block) {
  std::vector<decltype(&block.qkv)> linears;
  for (auto* linear : {&block.qkv, &block.projection, &block.expand, &block.contract}) {
    if (linear->low_rank) linears.push_back(linear);
  }
  return linears;
}

// Shapes alone.
ModelParameters<View> shapes_of(const ModelConfig& config) {
  return build_parameters(
      config, [](const TensorDescription& t) { return View(nullptr, DType::kFloat32, t.shape); });
}

}  // namespace

MergedWeights::Buffers MergedWeights::lay_out(memory::Arena& arena, const ModelConfig& config,
                                              DType compute) {
  const ModelParameters<View> shapes = shapes_of(config);
  Buffers buffers;
  for (const auto* linear : adapted(shapes.blocks.front())) {
    const Shape shape = linear->weight.shape();
    for (std::vector<View>& weights : buffers.weights) {
      weights.push_back(arena.take("merged weight", compute, shape));
    }
    if (compute != DType::kFloat32) {
      buffers.sums.push_back(arena.take("merged weight before rounding", DType::kFloat32, shape));
    }
  }
  return buffers;
}

std::size_t MergedWeights::bytes(const ModelConfig& config, DType compute) {
  return memory::measure([&](memory::Arena& arena) { lay_out(arena, config, compute); });
}

MergedWeights::MergedWeights(const ModelConfig& config, const ParameterSet& exact,
                             const ParameterSet& compute)
    : scale_(config.low_rank.scale()),
      exact_(exact),
      arena_("merged weights", bytes(config, compute.dtype()), exact.device()),
      buffers_(lay_out(arena_, config, compute.dtype())),
      views_(compute.views()) {
  forget();
  for (std::size_t block = 0; block < views_.blocks.size(); ++block) {
    const auto linears = adapted(views_.blocks[block]);
    const auto sources = adapted(exact.views().blocks[block]);
    for (std::size_t i = 0; i < linears.size(); ++i) {
      linears[i]->weight = buffers_.weights[block % kBuffers][i];
      linears[i]->low_rank = sources[i]->low_rank;
    }
  }
}

void MergedWeights::note_needed(ExecutionContext& ctx, std::size_t group) {
  if (group == 0 || group > views_.blocks.size()) return;
  const std::size_t block = group - 1, buffer = block % kBuffers;
  if (held_[buffer] == static_cast<std::int64_t>(block)) return;
  const auto sources = adapted(exact_.views().blocks[block]);
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const View& merged = buffers_.weights[buffer][i];
    const bool rounds = !buffers_.sums.empty();
    LowRankMerge merge{.weight = sources[i]->weight,
                       .adapter = *sources[i]->low_rank,
                       .scale = static_cast<float>(scale_),
                       .sum = rounds ? buffers_.sums[i] : merged};
    if (rounds) merge.rounded.emplace(merged);
    merge_low_rank(ctx, merge);
  }
  held_[buffer] = static_cast<std::int64_t>(block);
}

void MergedWeights::measure_scratch(ExecutionContext& ctx, const ModelConfig& config) {
  const ModelParameters<View> shapes = shapes_of(config);
  for (const auto* linear : adapted(shapes.blocks.front())) {
    merge_low_rank(ctx, {.weight = linear->weight,
                         .adapter = *linear->low_rank,
                         .scale = 1.0f,
                         .sum = linear->weight});
  }
}

}  // namespace ovid::model
