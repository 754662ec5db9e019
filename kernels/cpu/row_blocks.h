#pragma once

#include <cstdint>

#include "kernels/common/view.h"

// Sums over rows that do not depend on threads: the rows are cut into blocks by their number alone,
// each block is summed by one thread into its own row of partial sums, and those are added in
// order.
namespace ovid::kernels::cpu {

// At most 64 blocks: enough for as many cores, and little scratch.
inline std::int64_t rows_per_block(std::int64_t rows) {
  constexpr std::int64_t kMostBlocks = 64, kLeastRows = 16;
  const std::int64_t share = (rows + kMostBlocks - 1) / kMostBlocks;
  return share < kLeastRows ? kLeastRows : share;
}

inline std::int64_t number_of_row_blocks(std::int64_t rows) {
  return (rows + rows_per_block(rows) - 1) / rows_per_block(rows);
}

struct ColumnSums {
  float* sums;  // (columns)
  GradientMode mode;
};

// out.sums (columns) += the rows of `partials` (blocks, columns), one after the other; from zero
// where out.mode overwrites.
void add_block_sums(int threads, const float* partials, std::int64_t blocks, std::int64_t columns,
                    const ColumnSums& out);

// out.sums (C) += the rows of `rows` (N, C) float32, block by block; from zero where out.mode
// overwrites.
void add_rows_to(int threads, const ConstView& rows, const ColumnSums& out);

}  // namespace ovid::kernels::cpu
