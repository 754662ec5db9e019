#pragma once

#include <cstdint>

#include "kernels/attention/attention_cuda_dropout.cuh"
#include "kernels/cuda/vector_access.cuh"

// What the attention kernels in float share: for all number types and head widths, without tensor
// cores. A block of 256 threads owns a tile of 64 rows; thread (x, y) of 16 x 16 holds rows 4 y ..
// 4 y + 3. Of a 64 x 64 product of two tiles it holds columns x + 16 j, of a product with a tile
// from the left columns 4 x + j. Heads wider than 64 are taken in chunks of 64 columns.
namespace ovid::kernels::cuda::attention_plain {

inline constexpr int kTile = 64;  // rows, and columns of a chunk
inline constexpr int kThreads = 256;
inline constexpr int kTileFloats = kTile * kTile;
inline constexpr float kLog2E = 1.4426950408889634f;

// A tile in shared memory: groups of four columns are exchanged by the row, so that rows and
// columns of groups both spread over the banks.
__device__ __forceinline__ int group_place(int row, int group) {
  return row * kTile + ((group ^ (row & 7)) << 2);
}
__device__ __forceinline__ int place(int row, int column) {
  return group_place(row, column / 4) + column % 4;
}
__device__ __forceinline__ float4 load_group(const float* tile, int row, int group) {
  return *reinterpret_cast<const float4*>(tile + group_place(row, group));
}

// One head inside a packed tensor.
template <class T>
struct Rows {
  T* first;
  std::int64_t stride;
};

// Rows first .. first + 63 and columns from `column` on, as float; zeros outside of the head.
template <bool kPacks, class T>
__device__ __forceinline__ void load_tile(float* tile, Rows<const T> head, int first, int rows,
                                          int column, int columns) {
  constexpr int kColumns = kPacks ? kPack<T> : 1;
  constexpr int kPieces = kTile / kColumns;  // of a row
  for (int i = static_cast<int>(threadIdx.x); i < kTile * kPieces; i += kThreads) {
    const int row = i / kPieces, at = i % kPieces * kColumns;
    const bool inside = first + row < rows && column + at < columns;
    const T* from = head.first + (first + row) * head.stride + column + at;
    if constexpr (kPacks) {
      const Pack<T> pack = inside ? load_pack(from) : Pack<T>{};
#pragma unroll
      for (int j = 0; j < kColumns; j += 4) {
        *reinterpret_cast<float4*>(tile + group_place(row, (at + j) / 4)) =
            inside ? float4{pack.get(j), pack.get(j + 1), pack.get(j + 2), pack.get(j + 3)}
                   : float4{};
      }
    } else {
      tile[place(row, at)] = inside ? to_float(*from) : 0.0f;
    }
  }
}

using Block = float[4][4];

__device__ __forceinline__ void clear(Block& block) {
#pragma unroll
  for (int i = 0; i < 16; ++i) block[i / 4][i % 4] = 0.0f;
}

// sums[i][j] += row 4 y + i of a . row x + 16 j of b.
__device__ __forceinline__ void add_products_of_rows(Block& sums, const float* a, const float* b,
                                                     int x, int y) {
#pragma unroll 2
  for (int group = 0; group < kTile / 4; ++group) {
    float4 left[4], right[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) left[i] = load_group(a, 4 * y + i, group);
#pragma unroll
    for (int j = 0; j < 4; ++j) right[j] = load_group(b, x + 16 * j, group);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        sums[i][j] = fmaf(left[i].x, right[j].x, sums[i][j]);
        sums[i][j] = fmaf(left[i].y, right[j].y, sums[i][j]);
        sums[i][j] = fmaf(left[i].z, right[j].z, sums[i][j]);
        sums[i][j] = fmaf(left[i].w, right[j].w, sums[i][j]);
      }
    }
  }
}

// sums[i][j] += row 4 y + i of a . column 4 x + j of b.
__device__ __forceinline__ void add_product(Block& sums, const float* a, const float* b, int x,
                                            int y) {
#pragma unroll 2
  for (int group = 0; group < kTile / 4; ++group) {
    float4 left[4], right[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) left[i] = load_group(a, 4 * y + i, group);
#pragma unroll
    for (int k = 0; k < 4; ++k) right[k] = load_group(b, 4 * group + k, x);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float of_row[4] = {left[i].x, left[i].y, left[i].z, left[i].w};
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        sums[i][0] = fmaf(of_row[k], right[k].x, sums[i][0]);
        sums[i][1] = fmaf(of_row[k], right[k].y, sums[i][1]);
        sums[i][2] = fmaf(of_row[k], right[k].z, sums[i][2]);
        sums[i][3] = fmaf(of_row[k], right[k].w, sums[i][3]);
      }
    }
  }
}

// The columns x + 16 j of rows 4 y + i of a tile.
__device__ __forceinline__ void write_block(float* tile, const Block& block, int x, int y) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) tile[place(4 * y + i, x + 16 * j)] = block[i][j];
  }
}

// Dropout's factors as a tile: rows are queries from `query` on and columns keys from `key` on, or
// with kKeys the other way round. A thread draws a quad and writes its four elements.
template <bool kKeys>
__device__ __forceinline__ void write_factors(float* tile, const attention::HeadDropout& dropout,
                                              int query, int key) {
  const float scale = dropout.mask.keep_scale();
  for (int i = static_cast<int>(threadIdx.x); i < kTileFloats / 4; i += kThreads) {
    const int of_query = kKeys ? i % kTile : i / (kTile / 4);
    const int of_key = 4 * (kKeys ? i / kTile : i % (kTile / 4));
    const unsigned kept = dropout.kept(query + of_query, key + of_key);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int at = kKeys ? place(of_key + j, of_query) : place(of_query, of_key + j);
      tile[at] = (kept >> j & 1u) != 0 ? scale : 0.0f;
    }
  }
}

// Four numbers that are stored as one.
template <class T>
struct alignas(4 * sizeof(T)) Four {
  T values[4];
};

// Columns 4 x .. of rows 4 y + i, times factor[i], from column `column` of the head on. kPacks:
// heads are whole packs, and so whole fours.
template <bool kPacks, class T>
__device__ __forceinline__ void store_block(const Block& block, const float (&factor)[4],
                                            Rows<T> head, int first, int rows, int column,
                                            int columns, int x, int y) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int row = first + 4 * y + i, at = column + 4 * x;
    if (row >= rows) continue;
    T* to = head.first + row * head.stride + at;
    Four<T> four;
#pragma unroll
    for (int j = 0; j < 4; ++j) four.values[j] = from_float<T>(block[i][j] * factor[i]);
    if constexpr (kPacks) {
      if (at < columns) *reinterpret_cast<Four<T>*>(to) = four;
    } else {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        if (at + j < columns) to[j] = four.values[j];
      }
    }
  }
}

}  // namespace ovid::kernels::cuda::attention_plain
