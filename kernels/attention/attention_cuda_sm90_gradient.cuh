#pragma once

#include <cstdint>

#include "kernels/attention/attention_cuda_sm90_items.cuh"
#include "kernels/attention/attention_cuda_sm90_tile.cuh"

// What the two kernels of attention's backward pass for sm_90a share. Both multiply 64 rows of a
// warp group with units of 64 rows that pass by, heads of 64 columns: all operands in shared memory
// are panels of 64 rows and columns. Thread l of warp w holds, of products (64, 64), number [4 i +
// 2 r + e]: row 16 w + l / 4 + 8 r, column 8 i + 2 (l % 4) + e.
namespace ovid::kernels::cuda::sm90 {

inline constexpr int kWidth = 64;     // columns of a head
inline constexpr int kUnitRows = 64;  // of the operands that pass by

// Boxes of 64 rows and columns.
struct GradientMaps {
  CUtensorMap qkv, d_out, out, d_qkv;
};

// Two panels: 128 rows from tile x 128 on.
__device__ __forceinline__ void copy_tile(const CUtensorMap& map, std::uint32_t to,
                                          std::uint32_t barrier, int column, int tile,
                                          int sequence) {
  copy_box_to_shared(to, map, barrier, column, tile * kTileRows, sequence);
  copy_box_to_shared(to + kHalfBytes, map, barrier, column, tile * kTileRows + kUnitRows, sequence);
}

// Statistics of a unit of 64 queries: log_sum_exp / ln 2 of each, then delta of each. Rows after a
// head's last have an infinite log_sum_exp, so that their P is 0.
inline constexpr int kUnitStatistics = 2 * kUnitRows;
__device__ __forceinline__ std::int64_t statistics_at(const Work& work, int head, int unit) {
  return (static_cast<std::int64_t>(head) * 2 * work.tiles + unit) * kUnitStatistics;
}

// product (64, 64) = A B^T, enqueued: A in a[16], B 64 rows at `b`.
template <class T>
__device__ __forceinline__ void multiply_rows(float (&product)[32], const std::uint32_t (&a)[16],
                                              std::uint32_t b) {
  const std::uint64_t descriptor = descriptor_k_major(b);
#pragma unroll
  for (int step = 0; step < 4; ++step) {
    product_of_registers<T, 64, false>(product, a + 4 * step, descriptor_at(descriptor, step * 32),
                                       step > 0);
  }
}

// sum (64, 64) += A B, enqueued: A in a[16], B 64 rows at `b`.
template <class T>
__device__ __forceinline__ void multiply_unit_columns(float (&sum)[32],
                                                      const std::uint32_t (&a)[16],
                                                      std::uint32_t b) {
  multiply_values<T, kWidth>(sum, a, b);
}

// On the diagonal a product of 64 queries and keys, -infinity where the key is after the query:
// rows are queries, or (kRowsAreQueries false) keys.
template <bool kRowsAreQueries>
__device__ __forceinline__ void mask_unit(float (&scores)[32]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int first_row = static_cast<int>(threadIdx.x) % kWarpGroup / kWarp * 16 + lane / 4;
  const int first_column = lane % 4 * 2;
#pragma unroll
  for (int i = 0; i < 32; ++i) {
    const int row = first_row + i / 2 % 2 * 8, column = first_column + i / 4 * 8 + i % 2;
    if (kRowsAreQueries ? column > row : row > column) scores[i] = Max::identity();
  }
}

template <class T>
__device__ __forceinline__ void pack_unit(const float (&values)[32], std::uint32_t (&packed)[16]) {
#pragma unroll
  for (int i = 0; i < 16; ++i) packed[i] = pair_from_floats<T>(values[2 * i], values[2 * i + 1]);
}

// sum + a . b of pairs.
template <class T>
__device__ __forceinline__ float add_dot(float sum, std::uint32_t a, std::uint32_t b) {
  const T* x = reinterpret_cast<const T*>(&a);
  const T* y = reinterpret_cast<const T*>(&b);
  return fmaf(to_float(x[1]), to_float(y[1]), fmaf(to_float(x[0]), to_float(y[0]), sum));
}

// A group's 64 rows of a gradient, rounded to T, through the panel at `box` to global memory. What
// lies after the tensor's last row is not written.
template <class T, int kGroup>
__device__ __forceinline__ void store_gradient(const float (&gradient)[32], const CUtensorMap& map,
                                               std::uint32_t box, int column, int first_row,
                                               int sequence, int T_rows) {
  const bool first = threadIdx.x % kWarpGroup == 0;
  if (first) copies_wait_read();  // of the panel's last use
  named_barrier_sync(kGroupBarrier + kGroup, kWarpGroup);
  store_rows<T, kWidth>(gradient, box);
  async_proxy_fence();
  named_barrier_sync(kGroupBarrier + kGroup, kWarpGroup);
  if (!first || first_row >= T_rows) return;
  copy_box_to_global(map, box, column, first_row, sequence);
  copies_commit();
}

}  // namespace ovid::kernels::cuda::sm90
