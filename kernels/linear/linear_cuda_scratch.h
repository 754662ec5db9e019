#pragma once

#include <cstddef>
#include <cstdint>

// Scratch of the CUDA backend: functions of shapes alone, for dry runs and for the kernels.
namespace ovid::kernels::cuda {

// Rows whose sum one block makes: its partial sums cost 8 bytes a column (written, read), the rows
// themselves 256 bytes and more.
inline constexpr std::int64_t kRowsPerPartialSum = 128;

inline std::int64_t linear_row_blocks(std::int64_t rows) {
  return rows / kRowsPerPartialSum + (rows % kRowsPerPartialSum != 0 ? 1 : 0);
}

// Elements (float32) of the partial sums over rows of d_out, (row blocks, columns); a single block
// of them also has room for the bias gradient that cuBLASLt makes beside the weight's.
inline std::int64_t linear_bias_gradient_scratch(std::int64_t rows, std::int64_t columns) {
  const std::int64_t blocks = linear_row_blocks(rows);
  return (blocks > 0 ? blocks : 1) * columns;
}

}  // namespace ovid::kernels::cuda
