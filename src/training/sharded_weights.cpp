#include "src/training/sharded_weights.h"

#include <fmt/format.h>

#include "src/memory/transfer.h"
#include "src/training/shard_rows.h"

namespace ovid::training {

using model::DType;
using model::ShardLayout;
using model::View;

ShardedWeights::Memory ShardedWeights::lay_out(memory::Arena& arena, const ShardLayout& layout,
                                               DType compute) {
  Memory memory;
  memory.parts = take_parts(arena, layout, DType::kFloat32);
  if (compute != DType::kFloat32) memory.rounded = take_parts(arena, layout, compute);
  memory.rows = take_whole_rows(arena, layout, compute);
  return memory;
}

ShardedWeights::Bytes ShardedWeights::bytes(const ShardLayout& layout, DType compute) {
  const auto of = [&](auto&& take) {
    return memory::measure([&](memory::Arena& arena) { take(arena); });
  };
  Bytes bytes;
  bytes.parts = of([&](memory::Arena& arena) { take_parts(arena, layout, DType::kFloat32); });
  if (compute != DType::kFloat32)
    bytes.rounded = of([&](memory::Arena& arena) { take_parts(arena, layout, compute); });
  bytes.rows = of([&](memory::Arena& arena) { take_whole_rows(arena, layout, compute); });
  return bytes;
}

ShardedWeights::ShardedWeights(distributed::Communicator& communicator,
                               const model::ModelConfig& config, const ShardLayout& layout,
                               DType compute, kernels::cuda::Device* device)
    : communicator_(communicator),
      layout_(layout),
      arena_("weights",
             memory::measure([&](memory::Arena& arena) { lay_out(arena, layout, compute); }),
             device),
      memory_(lay_out(arena_, layout, compute)),
      views_(views_in_rows(config, layout, memory_.rows)),
      held_(layout.groups.size(), false),
      gathers_(layout.groups.size()) {}

void ShardedWeights::wait(std::size_t group) {
  if (gathers_[group]) communicator_.wait(*gathers_[group]);
  gathers_[group].reset();
}

void ShardedWeights::begin(std::size_t group) {
  if (held_[group]) return;
  for (std::size_t other = 0; other < held_.size(); ++other) {
    if (!held_[other] || memory_.rows[other].raw() != memory_.rows[group].raw()) continue;
    wait(other);
    held_[other] = false;
  }
  const View& part = memory_.rounded.empty() ? memory_.parts[group] : memory_.rounded[group];
  gathers_[group] =
      communicator_.begin_all_gather(part, memory_.rows[group], layout_.groups[group].name);
  held_[group] = true;
}

void ShardedWeights::begin_block(std::size_t group) {
  if (is_block(group)) begin(group);
}

// A pass tells of block i and the group behind it together: of i once more than of what was behind
// i - 1 on its way forward, and of two groups before on its way back. What it guesses wrong costs
// time alone: three buffers hold what is in use beside any one block next to it.
void ShardedWeights::begin_next(std::size_t group) {
  if (!previous_) {
    begin_block(1);
    begin_block(2);
  } else if (group == *previous_ && is_block(group)) {
    begin(group + 1);
    begin_block(group + 2);
  } else if (group + 2 == *previous_ && is_block(group)) {
    begin_block(group - 1);
  }
}

void ShardedWeights::note_needed(std::size_t group) {
  begin(group);
  begin_next(group);
  wait(group);
  previous_ = group;
}

void ShardedWeights::forget() {
  for (std::size_t group = 0; group < held_.size(); ++group) {
    wait(group);
    held_[group] = false;
  }
  previous_.reset();
}

std::vector<WeightPiece> ShardedWeights::pieces() const {
  std::vector<WeightPiece> pieces;
  for (std::size_t group = 0; group < layout_.groups.size(); ++group) {
    for (const ShardLayout::Piece& p : layout_.pieces(group, communicator_.rank())) {
      const ShardLayout::Tensor& tensor = layout_.tensors[p.tensor];
      pieces.push_back({.description = tensor.description,
                        .begin = p.begin,
                        .end = p.end,
                        .view = range_of_row(memory_.parts[group], p.offset, p.end - p.begin)});
    }
  }
  return pieces;
}

void ShardedWeights::collect(model::ParameterSet* into) {
  for (std::size_t group = 0; group < layout_.groups.size(); ++group) {
    note_needed(group);
    if (into == nullptr) continue;
    const ShardLayout::Group& g = layout_.groups[group];
    for (std::size_t i = g.first_tensor; i < g.first_tensor + g.tensors; ++i) {
      const ShardLayout::Tensor& tensor = layout_.tensors[i];
      const View& target = into->tensors()[i].view;
      memory::copy_on_device(arena_.device(), target,
                             range_of_row(memory_.rows[group], tensor.offset, tensor.elements)
                                 .reshaped(target.shape()));
    }
  }
}

std::string stored_name(const WeightPiece& piece) {
  return fmt::format("{}@{}:{}", piece.description.name, piece.begin, piece.end);
}

}  // namespace ovid::training
