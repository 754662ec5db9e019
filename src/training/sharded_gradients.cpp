#include "src/training/sharded_gradients.h"

#include <cstddef>

#include "kernels/convert/convert.h"
#include "src/memory/transfer.h"
#include "src/model/pass_order.h"
#include "src/training/shard_rows.h"

namespace ovid::training {
namespace {

using model::DType;
using model::View;

// Part `rank` of a group's row.
View part_of(const View& row, std::int64_t elements, int rank) {
  return range_of_row(row, rank * elements, elements);
}

}  // namespace

ShardedGradients::Rows ShardedGradients::lay_out(memory::Arena& arena,
                                                 const model::ShardLayout& layout, DType dtype) {
  Rows rows;
  rows.whole = take_whole_rows(arena, layout, dtype);
  rows.parts = take_parts(arena, layout, dtype);
  return rows;
}

std::size_t ShardedGradients::bytes(const model::ShardLayout& layout, DType dtype) {
  return memory::measure([&](memory::Arena& arena) { lay_out(arena, layout, dtype); });
}

ShardedGradients::ShardedGradients(distributed::Communicator& communicator,
                                   const model::ModelConfig& config,
                                   const model::ShardLayout& layout,
                                   const model::ParameterStorage& storage)
    : communicator_(communicator),
      layout_(layout),
      arena_("gradients", bytes(layout, storage.dtype), storage.device),
      rows_(lay_out(arena_, layout, storage.dtype)),
      views_(views_in_rows(config, layout, rows_.whole)),
      reductions_(layout.groups.size()) {}

kernels::GradientMode ShardedGradients::begin_pass() {
  return passes_++ == 0 ? kernels::GradientMode::kOverwrite : kernels::GradientMode::kAccumulate;
}

void ShardedGradients::note_needed(kernels::ExecutionContext& ctx, std::size_t group) {
  const View& row = rows_.whole[group];
  // Its own from the pass before, and that of the group whose turn it was in this buffer.
  for (std::size_t other = 0; other < rows_.whole.size(); ++other) {
    if (rows_.whole[other].raw() == row.raw()) wait(other);
  }
  if (passes_ <= 1) return;
  set_zero(ctx, {.out = row});
  memory::copy_on_device(ctx.device(),
                         part_of(row, layout_.part_elements(group), communicator_.rank()),
                         rows_.parts[group]);
}

void ShardedGradients::reduce(std::size_t group) {
  reductions_[group] = communicator_.begin_reduce_scatter(rows_.whole[group], rows_.parts[group],
                                                          layout_.groups[group].name);
}

void ShardedGradients::note_ready(std::int64_t block) {
  // As GradientExchange::note_ready: complete is the group behind that of the block.
  reduce(static_cast<std::size_t>(block + 2));
  if (block < 0) reduce(0);
}

void ShardedGradients::pass_without_sequences(kernels::ExecutionContext& ctx,
                                              const model::ModelConfig& config,
                                              const model::WeightsNeeded& on_weights_needed) {
  const bool first = begin_pass() == kernels::GradientMode::kOverwrite;
  model::tell_of_forward_backward(
      config, {.on_weights_needed = on_weights_needed,
               .on_gradient_needed =
                   [&](std::size_t group) {
                     note_needed(ctx, group);
                     if (first) set_zero(ctx, {.out = rows_.whole[group]});
                   },
               .on_gradient_ready = [&](std::int64_t block) { note_ready(block); }});
}

void ShardedGradients::wait(std::size_t group) {
  if (reductions_[group]) communicator_.wait(*reductions_[group]);
  reductions_[group].reset();
}

void ShardedGradients::finish() {
  for (std::size_t group = 0; group < reductions_.size(); ++group) wait(group);
}

}  // namespace ovid::training
