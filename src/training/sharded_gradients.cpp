#include "src/training/sharded_gradients.h"

#include <cstddef>

#include "kernels/convert/convert.h"
#include "src/memory/transfer.h"

namespace ovid::training {
namespace {

using model::DType;
using model::Shape;
using model::View;

constexpr std::size_t kBuffers = 3;  // of the blocks

// Part `rank` of a group's row.
View part_of(const View& row, std::int64_t elements, int rank) {
  return row.reshaped(Shape{row.elements() / elements, elements})
      .row_range(rank, 1)
      .reshaped(Shape{elements});
}

bool is_block(const model::ShardLayout& layout, std::size_t group) {
  return group > 0 && group + 1 < layout.groups.size();
}

// The tensors' places in the rows of their groups.
model::ModelParameters<View> views_in(const model::ModelConfig& config,
                                      const model::ShardLayout& layout,
                                      const std::vector<View>& rows) {
  std::size_t tensor = 0;
  return model::build_parameters(config, [&](const model::TensorDescription& description) {
    const model::ShardLayout::Tensor& place = layout.tensors[tensor++];
    const View& row = rows[place.group];
    auto* const begin = static_cast<std::byte*>(row.raw());
    const std::size_t offset =
        static_cast<std::size_t>(place.offset) * kernels::bytes_of(row.dtype());
    return View(begin + offset, row.dtype(), description.shape);
  });
}

}  // namespace

ShardedGradients::Rows ShardedGradients::lay_out(memory::Arena& arena,
                                                 const model::ShardLayout& layout, DType dtype) {
  Rows rows;
  std::vector<View> buffers;
  for (std::size_t group = 0; group < layout.groups.size(); ++group) {
    const model::ShardLayout::Group& g = layout.groups[group];
    const bool takes_turns = is_block(layout, group) && group > kBuffers;
    if (takes_turns) {
      rows.whole.push_back(rows.whole[group - kBuffers]);  // all blocks have one shape
    } else {
      rows.whole.push_back(arena.take(g.name, dtype, Shape{g.padded}));
    }
  }
  for (std::size_t group = 0; group < layout.groups.size(); ++group) {
    rows.parts.push_back(
        arena.take(layout.groups[group].name, dtype, Shape{layout.part_elements(group)}));
  }
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
      views_(views_in(config, layout, rows_.whole)),
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

void ShardedGradients::pass_without_sequences(kernels::ExecutionContext& ctx) {
  const bool first = begin_pass() == kernels::GradientMode::kOverwrite;
  const auto prepare = [&](std::size_t group) {
    note_needed(ctx, group);
    if (first) set_zero(ctx, {.out = rows_.whole[group]});
  };
  const std::size_t end = layout_.groups.size() - 1;
  prepare(0);
  prepare(end);
  for (std::size_t group = end; group-- > 1;) {
    prepare(group);
    note_ready(static_cast<std::int64_t>(group) - 1);
  }
  note_ready(-1);
}

void ShardedGradients::wait(std::size_t group) {
  if (reductions_[group]) communicator_.wait(*reductions_[group]);
  reductions_[group].reset();
}

void ShardedGradients::finish() {
  for (std::size_t group = 0; group < reductions_.size(); ++group) wait(group);
}

}  // namespace ovid::training
