#include "src/training/canonical_reduction.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "kernels/cpu/parallel_for.h"
#include "src/data/batch_share.h"
#include "src/distributed/ordered_sum.h"

namespace ovid::training {
namespace {

using kernels::DType;
using model::Shape;
using model::View;

// Elements that one thread adds at a time: 64 KiB of each operand.
constexpr std::int64_t kGrain = 16384;

// into += from, element by element: the same bits however it is cut.
void add_row(const View& into, const View& from, int threads) {
  auto* const sum = into.data<float>();
  const auto* const other = from.data<float>();
  kernels::cpu::parallel_for(
      threads, into.elements(), kGrain, [&](std::int64_t begin, std::int64_t end) {
        const std::array<const void*, 2> rows = {sum + begin, other + begin};
        distributed::ordered_sum(
            {.rows = rows, .out = sum + begin, .dtype = DType::kFloat32, .elements = end - begin});
      });
}

std::size_t shard_buffers(const model::ShardLayout& layout, std::int64_t sequences) {
  return layout.ranks == 1 ? 0 : static_cast<std::size_t>(buffers_of_run(sequences, layout.ranks));
}

std::vector<View> lay_out(memory::Arena& arena, const model::ShardLayout& layout,
                          std::size_t buffers) {
  std::vector<View> rows;
  for (std::size_t i = 0; i < buffers; ++i) {
    rows.push_back(arena.take(fmt::format("partial sum {}", i), DType::kFloat32,
                              Shape{layout.shard_elements()}));
  }
  return rows;
}

}  // namespace

CanonicalReduction::CanonicalReduction(distributed::Communicator& communicator,
                                       const model::ModelConfig& config,
                                       const model::ShardLayout& layout,
                                       model::ParameterSet& gradients,
                                       GradientExchange::Result result, std::int64_t sequences)
    : communicator_(communicator),
      config_(config),
      layout_(layout),
      gradients_(gradients),
      result_(result),
      shards_("partial sums of the gradients", memory::measure([&](memory::Arena& arena) {
                lay_out(arena, layout, shard_buffers(layout, sequences));
              })),
      shard_rows_(lay_out(shards_, layout, shard_buffers(layout, sequences))) {
  const data::BatchShare share =
      data::share_of_batch(sequences, communicator.rank(), communicator.count());
  const int buffers = buffers_of_range(share.first, share.first + share.count);
  if (buffers > 0) buffer(buffers - 1);
}

model::ParameterSet& CanonicalReduction::buffer(int index) {
  while (static_cast<int>(more_.size()) < index) {
    more_.emplace_back(
        config_, fmt::format("gradients of a part of the batch ({})", more_.size() + 1),
        model::ParameterStorage{
            .dtype = gradients_.dtype(), .shards = layout_.ranks, .trained_only = true});
  }
  return index == 0 ? gradients_ : more_[static_cast<std::size_t>(index - 1)];
}

View CanonicalReduction::shard_row(int index) const {
  return shard_rows_.at(static_cast<std::size_t>(index));
}

void CanonicalReduction::begin(std::int64_t sequences) {
  sequences_ = sequences;
  stack_ = TreeStack();
}

const model::ParameterSet& CanonicalReduction::next(std::int64_t sequence) {
  pushed_ = stack_.push_sequence(sequence);
  return buffer(pushed_.buffer);
}

void CanonicalReduction::add(int threads) {
  for (const TreeMerge& merge : pushed_.merges) {
    for (std::size_t group = 0; group < layout_.groups.size(); ++group) {
      add_row(buffer(merge.into).group(group), buffer(merge.from).group(group), threads);
    }
  }
}

void CanonicalReduction::receive(const HeldNode& held, int into) {
  std::vector<distributed::Ticket> tickets;
  View rest = shard_row(into).reshaped(Shape{layout_.shard_elements(), 1});
  std::int64_t offset = 0;
  for (std::size_t group = 0; group < layout_.groups.size(); ++group) {
    const std::int64_t elements = layout_.part_elements(group);
    if (elements == 0) continue;  // all of it is frozen
    const View out = rest.row_range(offset, elements).reshaped(Shape{elements});
    const model::ParameterSet& source =
        held.rank == communicator_.rank() ? buffer(held.buffer) : gradients_;
    tickets.push_back(communicator_.begin_scatter(source.group(group), out, held.rank,
                                                  layout_.groups[group].name));
    offset += elements;
  }
  for (const distributed::Ticket ticket : tickets) communicator_.wait(ticket);
}

void CanonicalReduction::finish(int threads) {
  if (layout_.ranks == 1) {
    pushed_.merges = stack_.finish(sequences_);
    add(threads);
    return;
  }
  TreeStack owned;
  for (const HeldNode& held : nodes_of_run(sequences_, layout_.ranks)) {
    const TreeStack::Push push = owned.push(held.node);
    receive(held, push.buffer);
    for (const TreeMerge& merge : push.merges) {
      add_row(shard_row(merge.into), shard_row(merge.from), threads);
    }
  }
  for (const TreeMerge& merge : owned.finish(sequences_)) {
    add_row(shard_row(merge.into), shard_row(merge.from), threads);
  }
  keep_result();
}

void CanonicalReduction::keep_result() {
  const float* sum = shard_row(0).data<float>();
  for (std::size_t group = 0; group < layout_.groups.size(); ++group) {
    const View own = own_part(layout_, gradients_, group, communicator_.rank());
    std::copy_n(sum, own.elements(), own.data<float>());
    sum += own.elements();
  }
  if (result_ == GradientExchange::Result::kEverywhere) {
    gather_parts(communicator_, layout_, gradients_);
  }
}

}  // namespace ovid::training
