#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/layernorm/layernorm.h"

// How layernorm_cuda_*.cu divide their work: functions of the shape and the size of an element
// alone, so that scratch can be planned without a device and every GPU adds in the same order.
namespace ovid::kernels::cuda {

inline constexpr std::int64_t kNormLanes = 32;     // of a warp
inline constexpr std::int64_t kNormWarps = 4;      // of a block
inline constexpr std::int64_t kNormElements = 32;  // of a row that a lane keeps in registers
inline constexpr std::int64_t kNormUnitBytes = 16;

// A row belongs to 1, 2 or 4 warps, which keep it in registers; a longer one, or one that is not
// made of whole, aligned units, to the 4 of a block, which go through it again and again.
inline std::int64_t norm_warps_per_row(std::int64_t C) {
  const std::int64_t in_registers = kNormLanes * kNormElements;
  return C <= in_registers ? 1 : C <= 2 * in_registers ? 2 : kNormWarps;
}
inline bool norm_row_fits_registers(std::int64_t C) {
  return C <= kNormWarps * kNormLanes * kNormElements;
}

// Rows of a block of the backward pass, which leaves one row of partial sums of d_gain and one of
// d_bias in scratch: so many that those are little beside the rows, few enough that blocks fill a
// GPU, and at most 512 blocks and about 32 MiB.
inline std::int64_t norm_gradient_rows_per_block(std::int64_t N, std::int64_t C) {
  constexpr std::int64_t kLeastRows = 32;
  const std::int64_t most_blocks = std::clamp<std::int64_t>((std::int64_t{1} << 22) / C, 1, 512);
  const std::int64_t rows = (N + most_blocks - 1) / most_blocks;
  return std::max((rows + kLeastRows - 1) / kLeastRows * kLeastRows, kLeastRows);
}
inline std::int64_t norm_gradient_blocks(std::int64_t N, std::int64_t C) {
  const std::int64_t rows = norm_gradient_rows_per_block(N, C);
  return (N + rows - 1) / rows;
}

// Floats of one row of partial sums: a unit of 16 bytes of the row for each lane in turn, with room
// for the lanes of a whole block.
inline std::int64_t norm_partial_row(std::int64_t C, std::size_t element_bytes) {
  const std::int64_t turn =
      kNormWarps * kNormLanes * kNormUnitBytes / static_cast<std::int64_t>(element_bytes);
  return (C + turn - 1) / turn * turn;
}

inline std::size_t layernorm_backward_scratch_bytes(RowShape shape, std::size_t element_bytes) {
  return static_cast<std::size_t>(norm_gradient_blocks(shape.rows, shape.columns) * 2 *
                                  norm_partial_row(shape.columns, element_bytes)) *
         sizeof(float);
}

}  // namespace ovid::kernels::cuda
