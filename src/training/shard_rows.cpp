#include "src/training/shard_rows.h"

namespace ovid::training {

using model::DType;
using model::Shape;
using model::ShardLayout;
using model::View;

namespace {

// Where the row of a tensor's group begins, and the tensor in it.
View view_in_row(const ShardLayout::Tensor& place, const View& row) {
  auto* const begin = static_cast<std::byte*>(row.raw());
  const std::size_t offset =
      static_cast<std::size_t>(place.offset) * kernels::bytes_of(row.dtype());
  return View(begin + offset, row.dtype(), place.description.shape);
}

}  // namespace

std::vector<View> take_whole_rows(memory::Arena& arena, const ShardLayout& layout, DType dtype) {
  std::vector<View> rows;
  for (std::size_t group = 0; group < layout.groups.size(); ++group) {
    const ShardLayout::Group& g = layout.groups[group];
    const bool takes_turns = group > kRowBuffers && group + 1 < layout.groups.size();
    if (takes_turns) {
      rows.push_back(rows[group - kRowBuffers]);  // all blocks have one shape
    } else {
      rows.push_back(arena.take(g.name, dtype, Shape{g.padded}));
    }
  }
  return rows;
}

std::vector<View> take_parts(memory::Arena& arena, const ShardLayout& layout, DType dtype) {
  std::vector<View> parts;
  for (std::size_t group = 0; group < layout.groups.size(); ++group) {
    parts.push_back(
        arena.take(layout.groups[group].name, dtype, Shape{layout.part_elements(group)}));
  }
  return parts;
}

model::ModelParameters<View> views_in_rows(const model::ModelConfig& config,
                                           const ShardLayout& layout,
                                           const std::vector<View>& rows) {
  std::size_t tensor = 0;
  return model::build_parameters(config, [&](const model::TensorDescription&) {
    const ShardLayout::Tensor& place = layout.tensors[tensor++];
    return view_in_row(place, rows[place.group]);
  });
}

View range_of_row(const View& row, std::int64_t offset, std::int64_t count) {
  return row.reshaped(Shape{row.elements(), 1}).row_range(offset, count).reshaped(Shape{count});
}

}  // namespace ovid::training
