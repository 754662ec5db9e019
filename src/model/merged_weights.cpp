#include "src/model/merged_weights.h"

#include <algorithm>

#include "kernels/convert/convert.h"
#include "src/memory/transfer.h"
#include "src/model/low_rank.h"

namespace ovid::model {
namespace {

// Those that have an adapter, in the order of the block.
template <class Block>
auto adapted(Block& block) {
  std::vector<decltype(&block.qkv)> linears;
  for (auto* linear : linears_of(block)) {
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

namespace {

// Room for the largest sum, in float32, of weights that are kept in 16 bits.
View take_sum(memory::Arena& arena, const ModelConfig& config) {
  std::int64_t most = 0;
  const ModelParameters<View> shapes = shapes_of(config);
  for (const auto* linear : adapted(shapes.blocks.front()))
    most = std::max(most, linear->weight.elements());
  return arena.take("merged weight before rounding", DType::kFloat32, Shape{most});
}

}  // namespace

void merge_all(ExecutionContext& ctx, const ModelConfig& config, const ParameterSet& exact,
               ParameterSet& into) {
  auto target = into.tensors().begin();
  for (const ParameterSet::Tensor& tensor : exact.tensors()) {
    if (target == into.tensors().end()) break;
    if (tensor.description.name != target->description.name) continue;  // of an adapter
    convert(ctx, {.in = tensor.view, .out = target->view});
    ++target;
  }
  const bool rounds = into.dtype() != DType::kFloat32;
  const std::size_t bytes =
      rounds ? memory::measure([&](memory::Arena& arena) { take_sum(arena, config); }) : 0;
  memory::Arena arena("merged weights", bytes, exact.device());
  const auto scale = static_cast<float>(config.low_rank.scale());
  void* const sum = rounds ? take_sum(arena, config).raw() : nullptr;
  for (std::size_t block = 0; block < exact.views().blocks.size(); ++block) {
    const auto sources = linears_of(exact.views().blocks[block]);
    const auto targets = linears_of(into.views().blocks[block]);
    for (std::size_t i = 0; i < sources.size(); ++i) {
      if (!sources[i]->low_rank) continue;
      const View& merged = targets[i]->weight;
      LowRankMerge merge{.weight = sources[i]->weight,
                         .adapter = *sources[i]->low_rank,
                         .scale = scale,
                         .sum = rounds ? View(sum, DType::kFloat32, merged.shape()) : merged};
      if (rounds) merge.rounded.emplace(merged);
      merge_low_rank(ctx, merge);
    }
  }
  memory::synchronize(exact.device());  // the arena goes
}

}  // namespace ovid::model
