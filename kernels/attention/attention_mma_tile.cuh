#pragma once

#include <cstdint>

#include "kernels/attention/attention_tile_layout.h"
#include "kernels/cuda/approximate.cuh"
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/reduce.cuh"

// What the attention kernels for tensor cores share. A block owns 128 rows (the outer tile; each
// warp 16 kMatrices of them) and goes over tiles of 64 other rows (the inner tiles). Thread l of a
// warp holds, of rows l / 4 + 8 h of a 16 x 8 piece, columns 2 (l % 4) + e: element 2 h + e.
namespace ovid::kernels::cuda::attention {

inline constexpr int kOuterRows = 128;
inline constexpr int kInnerRows = 64;
inline constexpr float kLog2E = 1.4426950408889634f;

// kColumns: of a head, padded with zeros. A warp's accumulators of 32 rows and 128 columns would
// not fit in its registers, nor would dropout's random words beside those of 64: such kernels have
// twice the warps with half the rows.
template <int kColumns_, bool kDropout>
struct TileShape {
  static constexpr int kColumns = kColumns_;
  static constexpr int kMatrices = kColumns == 64 && !kDropout ? 2 : 1;  // of 16 rows, of one warp
  static constexpr int kWarps = kOuterRows / (16 * kMatrices);
  static constexpr int kThreads = kWarps * kWarp;
  // 65,536 registers of a multiprocessor, 255 a thread.
  static constexpr int kBlocks = 256 / kThreads;
  static constexpr int kSteps = kColumns / 16;
  static constexpr int kRowBytes = 2 * kColumns;
  static constexpr int kInnerBytes = kInnerRows * kColumns * 2;
  static constexpr int kOuterBytes = kOuterRows * kColumns * 2;
};

// The rows of one head inside a packed tensor.
template <class T>
struct HeadRows {
  T* first;
  std::int64_t stride;  // elements between rows
};

// Enqueues copies of rows first .. first + kRows of a head to the tile at `shared`; zeros beyond
// `rows` rows and `columns` columns.
template <class Tile, int kRows, class T>
__device__ __forceinline__ void copy_tile(std::uint32_t shared, HeadRows<const T> head, int first,
                                          int rows, int columns) {
  constexpr int kGroups = Tile::kColumns / 8;
  constexpr int kRowsAtOnce = Tile::kThreads / kGroups;
  const int thread = thread_index_here();
  const int group = thread % kGroups, row = thread / kGroups;
  const T* from = head.first + (first + row) * head.stride + group * 8;
  const bool has_columns = group * 8 < columns;
#pragma unroll
  for (int i = 0; i < kRows; i += kRowsAtOnce) {
    const bool inside = has_columns && first + row + i < rows;
    copy_async_16(shared + attention_tile_offset<Tile::kColumns>(row + i, group),
                  inside ? from : head.first, inside);
    from += kRowsAtOnce * head.stride;
  }
}

// Where a lane reads its row of the matrices of a fragment, at step 0; `tile` is the address of
// the fragment's first row. attention_tile_step leads to columns 16 step.
//
// 16 rows and 16 columns: as operand a, or with load_matrices_transposed as operand b whose index
// of the sum is the row (b[0], b[1] of the first eight columns, b[2], b[3] of the others).
template <class Tile>
__device__ __forceinline__ std::uint32_t row_major_address(std::uint32_t tile, int lane) {
  return tile + attention_tile_offset<Tile::kColumns>(lane % 16, lane / 16);
}
// 16 rows and 16 columns as operand b whose columns are the rows: b[0], b[1] of the first eight
// rows, b[2], b[3] of the others.
template <class Tile>
__device__ __forceinline__ std::uint32_t column_major_address(std::uint32_t tile, int lane) {
  return tile + attention_tile_offset<Tile::kColumns>(lane % 8 + lane / 16 * 8, lane / 8 % 2);
}

// 8 rows and 32 columns as operand b whose columns are the rows: b[0], b[1] of the first 16
// columns, b[2], b[3] of the others.
template <class Tile>
__device__ __forceinline__ std::uint32_t eight_rows_address(std::uint32_t tile, int lane) {
  return tile + attention_tile_offset<Tile::kColumns>(lane % 8, lane / 8);
}

// A 16 x 8 piece rounded to T: half `half` of operand a.
template <class T>
__device__ __forceinline__ void pack_half(std::uint32_t (&a)[4], int half,
                                          const float (&piece)[4]) {
  a[2 * half] = pack_pair<T>(piece[0], piece[1]);
  a[2 * half + 1] = pack_pair<T>(piece[2], piece[3]);
}

// The warp's 16 kMatrices rows, times factor[m][h], rounded to T, to global memory through a tile
// of the warp's own at `tile`: rows of a fragment are 16 bytes, rows of a tile are whole.
template <class T, class Tile>
__device__ __forceinline__ void store_rows(
    const float (&values)[Tile::kMatrices][Tile::kColumns / 8][4],
    const float (&factor)[Tile::kMatrices][2], std::uint8_t* tile, HeadRows<T> head, int first,
    int rows, int columns) {
  constexpr int kRows = 16 * Tile::kMatrices, kGroups = Tile::kColumns / 8;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
  for (int m = 0; m < Tile::kMatrices; ++m) {
#pragma unroll
    for (int n = 0; n < kGroups; ++n) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int row = 16 * m + 8 * h + lane / 4;
        *reinterpret_cast<std::uint32_t*>(tile + attention_tile_offset<Tile::kColumns>(row, n) +
                                          lane % 4 * 4) =
            pack_pair<T>(values[m][n][2 * h] * factor[m][h],
                         values[m][n][2 * h + 1] * factor[m][h]);
      }
    }
  }
  __syncwarp();
#pragma unroll
  for (int i = lane; i < kRows * kGroups; i += kWarp) {
    const int row = i / kGroups, group = i % kGroups;
    if (first + row < rows && group * 8 < columns) {
      *reinterpret_cast<uint4*>(head.first + (first + row) * head.stride + group * 8) =
          *reinterpret_cast<const uint4*>(tile + attention_tile_offset<Tile::kColumns>(row, group));
    }
  }
}

}  // namespace ovid::kernels::cuda::attention
