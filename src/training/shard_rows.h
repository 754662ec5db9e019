#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "src/memory/arena.h"
#include "src/model/parameters.h"
#include "src/model/shard_layout.h"

// Whole rows of a layout's groups that exist for a while, where a rank keeps nothing but its parts
// of them (ZeRO stages 2 and 3).
namespace ovid::training {

// Buffers of blocks: a pass is at a block and the one behind it while a third is on its way.
inline constexpr std::size_t kRowBuffers = 3;

// By group: a row of its own for embeddings and end; those of the blocks take turns in the buffers.
std::vector<model::View> take_whole_rows(memory::Arena& arena, const model::ShardLayout& layout,
                                         model::DType dtype);
// By group: the part of one rank.
std::vector<model::View> take_parts(memory::Arena& arena, const model::ShardLayout& layout,
                                    model::DType dtype);

// The tensors' places in the rows of their groups.
model::ModelParameters<model::View> views_in_rows(const model::ModelConfig& config,
                                                  const model::ShardLayout& layout,
                                                  const std::vector<model::View>& rows);

// Elements [offset, offset + count) of a row.
model::View range_of_row(const model::View& row, std::int64_t offset, std::int64_t count);

}  // namespace ovid::training
