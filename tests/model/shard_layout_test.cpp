#include "src/model/shard_layout.h"

#include <fmt/format.h>

#include <vector>

#include "src/core/error.h"
#include "tests/catch.h"

namespace ovid::model {
namespace {

ModelConfig config_of(std::int64_t layers, std::int64_t width, std::int64_t vocabulary, bool tied) {
  return {.layers = layers,
          .heads = 1,
          .width = width,
          .context_length = 7,
          .vocabulary_size = vocabulary,
          .tied_head = tied};
}

}  // namespace

TEST_CASE("every element of every tensor is in exactly one rank's part", "[model][shards]") {
  const auto config = GENERATE(config_of(1, 5, 11, true), config_of(3, 32, 257, false),
                               config_of(2, 48, 128, true));
  for (const int ranks : {1, 2, 3, 8, 64}) {
    const ShardLayout layout = lay_out_shards(config, ranks);
    INFO(fmt::format("width {}, {} ranks", config.width, ranks));
    std::vector<std::vector<int>> owners;
    for (const auto& tensor : layout.tensors)
      owners.emplace_back(static_cast<std::size_t>(tensor.elements), 0);
    for (std::size_t group = 0; group < layout.groups.size(); ++group) {
      CHECK(layout.groups[group].padded % (ranks * ShardLayout::kGranule) == 0);
      for (int rank = 0; rank < ranks; ++rank) {
        std::int64_t after = 0;
        for (const auto& piece : layout.pieces(group, rank)) {
          CHECK(piece.offset >= after);
          after = piece.offset + piece.end - piece.begin;
          for (std::int64_t i = piece.begin; i < piece.end; ++i)
            ++owners[piece.tensor][static_cast<std::size_t>(i)];
        }
        CHECK(after <= layout.part_elements(group));
      }
    }
    for (const auto& tensor : owners) CHECK(tensor == std::vector<int>(tensor.size(), 1));
  }
}

TEST_CASE("groups are the embeddings, the blocks and the end", "[model][shards]") {
  const ShardLayout tied = lay_out_shards(config_of(2, 48, 128, true), 2);
  REQUIRE(tied.groups.size() == 4);
  CHECK(tied.groups[0].name == "embeddings");
  CHECK(tied.groups[0].tensors == 2);
  CHECK(tied.groups[2].name == "block 1");
  CHECK(tied.groups[2].tensors == 12);
  CHECK(tied.groups[3].name == "end");
  CHECK(tied.groups[3].tensors == 2);
  CHECK(lay_out_shards(config_of(2, 48, 128, false), 2).groups[3].tensors == 3);
}

TEST_CASE("rows lie in a set of float32 parameters as the layout says", "[model][shards]") {
  const ModelConfig config = config_of(2, 20, 130, false);
  ParameterSet set(config, "weights");
  const ShardLayout layout = lay_out_shards(config, 3);
  const float* const base = set.flat().data<float>();
  REQUIRE(layout.tensors.size() == set.tensors().size());
  for (std::size_t i = 0; i < layout.tensors.size(); ++i) {
    const auto& tensor = layout.tensors[i];
    CHECK(tensor.description.name == set.tensors()[i].description.name);
    const std::int64_t offset = layout.groups[tensor.group].offset + tensor.offset;
    CHECK(set.tensors()[i].view.data<float>() == base + offset);
  }
}

TEST_CASE("where tensors lie in a row does not depend on the number of ranks", "[model][shards]") {
  const ModelConfig config = config_of(2, 20, 130, false);
  const ShardLayout one = lay_out_shards(config, 1), many = lay_out_shards(config, 7);
  for (std::size_t i = 0; i < one.tensors.size(); ++i)
    CHECK(one.tensors[i].offset == many.tensors[i].offset);
  CHECK_THROWS_AS(lay_out_shards(config, 0), UsageError);
}

}  // namespace ovid::model
