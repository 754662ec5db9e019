#include "src/model/shard_layout.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/core/error.h"

namespace ovid::model {
namespace {

constexpr int kMostRanks = 1'000'000;

std::int64_t round_up(std::int64_t value, std::int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

// The group of a tensor by its name in the network.
std::string group_of(const std::string& name) {
  constexpr std::string_view kBlocks = "transformer.h.";
  if (name.rfind(kBlocks, 0) == 0) {
    const std::size_t end = name.find('.', kBlocks.size());
    return "block " + name.substr(kBlocks.size(), end - kBlocks.size());
  }
  return name.rfind("transformer.w", 0) == 0 ? "embeddings" : "end";
}

// Elements that a tensor takes, with the reserved rows behind it.
std::int64_t room_of(const TensorDescription& tensor) {
  if (!tensor.trained) return 0;
  return tensor.shape.elements() + tensor.reserved_rows * tensor.shape.last();
}

}  // namespace

std::int64_t ShardLayout::shard_elements() const {
  std::int64_t sum = 0;
  for (std::size_t group = 0; group < groups.size(); ++group) sum += part_elements(group);
  return sum;
}

std::int64_t ShardLayout::largest_row() const {
  std::int64_t largest = 0;
  for (const Group& group : groups) largest = std::max(largest, group.padded);
  return largest;
}

std::vector<ShardLayout::Piece> ShardLayout::pieces(std::size_t group, int rank) const {
  const Group& row = groups[group];
  const std::int64_t begin = rank * part_elements(group);
  const std::int64_t end = begin + part_elements(group);
  std::vector<Piece> pieces;
  for (std::size_t i = row.first_tensor; i < row.first_tensor + row.tensors; ++i) {
    const Tensor& tensor = tensors[i];
    const std::int64_t from = std::max(begin, tensor.offset);
    const std::int64_t to = std::min(end, tensor.offset + tensor.elements);
    if (from < to) pieces.push_back({i, from - tensor.offset, to - tensor.offset, from - begin});
  }
  return pieces;
}

ShardLayout lay_out_shards(const ModelConfig& config, int ranks) {
  if (ranks < 1 || ranks > kMostRanks)
    throw UsageError(fmt::format("{} ranks are outside 1 to {}", ranks, kMostRanks));
  ShardLayout layout;
  layout.ranks = ranks;
  std::int64_t end = 0;  // in the whole set
  for (const TensorDescription& description : describe_tensors(config)) {
    const std::string name = group_of(description.name);
    if (layout.groups.empty() || layout.groups.back().name != name)
      layout.groups.push_back({.name = name, .first_tensor = layout.tensors.size(), .offset = end});
    ShardLayout::Group& group = layout.groups.back();
    const std::int64_t offset = end - group.offset;
    ++group.tensors;
    group.elements = offset + room_of(description);
    layout.tensors.push_back({.description = description,
                              .group = layout.groups.size() - 1,
                              .offset = offset,
                              .elements = description.trained ? description.shape.elements() : 0});
    end = group.offset + round_up(group.elements, ShardLayout::kAlignment);
  }
  for (ShardLayout::Group& group : layout.groups)
    group.padded = round_up(group.elements, ranks * ShardLayout::kGranule);
  return layout;
}

}  // namespace ovid::model
