#include "src/training/sharded_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "src/model/pass_order.h"
#include "tests/catch.h"
#include "tests/distributed/rank_processes.h"

namespace ovid::training {
namespace {

using model::DType;
using model::ModelConfig;
using model::ShardLayout;
using model::View;

ModelConfig tiny(std::int64_t layers, bool tied) {
  return {.layers = layers,
          .heads = 2,
          .width = 8,
          .context_length = 6,
          .vocabulary_size = 23,
          .tied_head = tied};
}

// Of element `index` of a tensor after `updates`: another number for each, exact in bfloat16.
float value_of(std::size_t tensor, std::int64_t index, int updates) {
  const std::uint64_t mixed = (static_cast<std::uint64_t>(index) + 1) * 31 + tensor * 7 +
                              static_cast<std::uint64_t>(updates);
  return static_cast<float>(mixed % 251);
}

void write_parts(ShardedWeights& weights, const ShardLayout& layout, int rank, int updates) {
  weights.forget();
  for (std::size_t group = 0; group < layout.groups.size(); ++group) {
    for (const ShardLayout::Piece& piece : layout.pieces(group, rank)) {
      for (std::int64_t i = piece.begin; i < piece.end; ++i) {
        const float value = value_of(piece.tensor, i, updates);
        const std::int64_t at = piece.offset + i - piece.begin;
        weights.parts()[group].data<float>()[at] = value;
      }
    }
  }
}

// Throws where a tensor of `group` is not what all ranks wrote.
void expect_group(const ShardedWeights& weights, const ModelConfig& config,
                  const ShardLayout& layout, std::size_t group, int updates) {
  const model::ModelParameters<View>& v = weights.views();
  std::vector<View> views = {v.token_embedding, v.position_embedding};  // as layout.tensors
  for (const auto& b : v.blocks) {
    for (const View& view : {b.norm1.gain, b.norm1.bias, b.qkv.weight, b.qkv.bias,
                             b.projection.weight, b.projection.bias, b.norm2.gain, b.norm2.bias,
                             b.expand.weight, b.expand.bias, b.contract.weight, b.contract.bias}) {
      views.push_back(view);
    }
  }
  views.insert(views.end(), {v.final_norm.gain, v.final_norm.bias});
  if (!config.tied_head) views.push_back(v.head);
  std::size_t tensor = 0;
  for (const View& view : views) {
    if (layout.tensors[tensor].group == group) {
      for (std::int64_t i = 0; i < view.elements(); ++i) {
        test::expect(view.data<float>()[i] == value_of(tensor, i, updates),
                     fmt::format("element {} of {} is not what its rank wrote", i,
                                 layout.tensors[tensor].description.name));
      }
    }
    ++tensor;
  }
}

}  // namespace

TEST_CASE("a pass finds a block and the group behind it whole, also after an update",
          "[distributed]") {
  for (const bool tied : {true, false}) {
    for (const std::int64_t layers : {1, 2, 6}) {
      INFO((tied ? "tied, " : "untied, ") << layers);
      const ModelConfig config = tiny(layers, tied);
      test::require_all_done(test::run_ranks(3, [&](distributed::Communicator& communicator) {
        const ShardLayout layout = model::lay_out_shards(config, communicator.count());
        ShardedWeights weights(communicator, config, layout, DType::kFloat32, nullptr);
        for (int updates = 0; updates < 2; ++updates) {
          write_parts(weights, layout, communicator.rank(), updates);
          std::size_t previous = 0;
          const auto check = [&](std::size_t group) {
            weights.note_needed(group);
            expect_group(weights, config, layout, group, updates);
            if (group == previous + 1) expect_group(weights, config, layout, previous, updates);
            previous = group;
          };
          model::tell_of_forward_backward(config, {.on_weights_needed = check});
          model::tell_of_forward(config, check);
          model::tell_of_forward_backward(config, {.on_weights_needed = check});
        }
      }));
    }
  }
}

TEST_CASE("where products read 16 bits, those are what is gathered", "[distributed]") {
  const ModelConfig config = tiny(5, true);
  test::require_all_done(test::run_ranks(2, [&](distributed::Communicator& communicator) {
    const ShardLayout layout = model::lay_out_shards(config, communicator.count());
    ShardedWeights weights(communicator, config, layout, DType::kBfloat16, nullptr);
    const auto bits_of = [](int rank, std::size_t group) {
      return static_cast<std::uint16_t>(0x3F80 + 16 * rank + static_cast<int>(group));
    };
    for (std::size_t group = 0; group < layout.groups.size(); ++group) {
      const View& part = weights.rounded_parts()[group];
      std::fill_n(static_cast<std::uint16_t*>(part.raw()), part.elements(),
                  bits_of(communicator.rank(), group));
    }
    model::tell_of_forward(config, [&](std::size_t group) { weights.note_needed(group); });
    const auto expect_first = [&](const View& view, std::size_t group) {
      test::expect(view.dtype() == DType::kBfloat16 &&
                       *static_cast<const std::uint16_t*>(view.raw()) == bits_of(0, group),
                   fmt::format("group {} is not what rank 0 rounded", group));
    };
    expect_first(weights.views().token_embedding, 0);
    expect_first(weights.views().blocks[3].norm1.gain, 4);
    expect_first(weights.views().blocks[4].norm1.gain, 5);
    expect_first(weights.views().final_norm.gain, 6);
  }));
}

TEST_CASE("collected weights are those of all ranks, on the rank that asks", "[distributed]") {
  const ModelConfig config = tiny(5, true);
  test::require_all_done(test::run_ranks(4, [&](distributed::Communicator& communicator) {
    const ShardLayout layout = model::lay_out_shards(config, communicator.count());
    ShardedWeights weights(communicator, config, layout, DType::kFloat32, nullptr);
    write_parts(weights, layout, communicator.rank(), 1);
    if (communicator.rank() != 1) return weights.collect(nullptr);
    model::ParameterSet whole(config, "whole weights");
    weights.collect(&whole);
    for (std::size_t tensor = 0; tensor < whole.tensors().size(); ++tensor) {
      const View& view = whole.tensors()[tensor].view;
      for (std::int64_t i = 0; i < view.elements(); ++i)
        test::expect(view.data<float>()[i] == value_of(tensor, i, 1), "an element differs");
    }
  }));
}

TEST_CASE("the memory of sharded weights is a rank's part and the rows of three blocks at most",
          "[distributed]") {
  const ShardLayout layout = model::lay_out_shards(tiny(6, true), 4);
  const auto exact = ShardedWeights::bytes(layout, DType::kFloat32);
  const auto half = ShardedWeights::bytes(layout, DType::kBfloat16);
  CHECK(exact.parts == static_cast<std::size_t>(layout.shard_elements()) * 4);
  CHECK(exact.rounded == 0);
  const std::int64_t rows =
      layout.groups.front().padded + 3 * layout.groups[1].padded + layout.groups.back().padded;
  CHECK(exact.rows == static_cast<std::size_t>(rows) * 4);
  CHECK(half.parts == exact.parts);
  CHECK(half.rounded * 2 == exact.parts);
  CHECK(half.rows * 2 == exact.rows);
}

}  // namespace ovid::training
