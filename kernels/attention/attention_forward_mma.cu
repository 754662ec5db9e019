#include <cmath>

#include "kernels/attention/attention_cuda.cuh"
#include "kernels/attention/attention_cuda_dropout.cuh"
#include "kernels/attention/attention_mma_tile.cuh"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device_state.cuh"

// A block owns a tile of 128 queries of one head, a warp 32 of them (16 of heads wider than 64),
// whose Q stays in registers. It goes over tiles of 64 keys from the first to the diagonal; K and V
// of the next tile are copied while it computes. Only the last two tiles meet the diagonal: there a
// warp skips the 16 x 16 pieces beyond it. The tiles with the most keys come first.
namespace ovid::kernels::cuda {

namespace {

using namespace attention;

template <class T>
struct Operands {
  const T* qkv;        // (B, T, 3C)
  T* out;              // (B, T, C)
  float* log_sum_exp;  // (B, H, T)
  int length, heads, head_width;
  float scale, scale_log2;  // 1 / sqrt(D), and times log2(e)
  DropoutMask dropout;
};

template <class Tile>
struct RowState {
  float out[Tile::kMatrices][Tile::kColumns / 8][4];
  float largest[Tile::kMatrices][2];  // of the scores; of rows l / 4 + 8 h
  float sum[Tile::kMatrices][2];      // of this lane's exponentials
};

template <class Tile>
using Scores = float[Tile::kMatrices][kInnerRows / 8][4];

// Whether a 16 x 16 piece is at or below the diagonal: `ahead` rows the query piece starts behind
// the key piece.
__device__ __forceinline__ bool is_seen(int ahead) {
  return ahead >= 0;
}

// scores = Q K^T of the warp's rows and the tile's keys, -infinity beyond the diagonal. `ahead`:
// the warp's first query less the tile's first key.
template <class T, class Tile, bool kMasked>
__device__ __forceinline__ void multiply_scores(
    Scores<Tile>& scores, const std::uint32_t (&q)[Tile::kMatrices][Tile::kSteps][4],
    std::uint32_t keys, int ahead) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
  for (int n = 0; n < kInnerRows / 16; ++n) {
#pragma unroll
    for (int m = 0; m < Tile::kMatrices; ++m) {
#pragma unroll
      for (int i = 0; i < 8; ++i) scores[m][2 * n + i / 4][i % 4] = 0.0f;
    }
    if (!kMasked || is_seen(ahead + 16 * (Tile::kMatrices - 1 - n))) {
      const std::uint32_t address =
          column_major_address<Tile>(keys + n * 16 * Tile::kRowBytes, lane);
#pragma unroll
      for (int step = 0; step < Tile::kSteps; ++step) {
        std::uint32_t b[4];
        load_matrices(b, attention_tile_step(address, step));
#pragma unroll
        for (int m = 0; m < Tile::kMatrices; ++m) {
          if (kMasked && !is_seen(ahead + 16 * (m - n))) continue;
          multiply_add<T>(scores[m][2 * n], q[m][step], b[0], b[1]);
          multiply_add<T>(scores[m][2 * n + 1], q[m][step], b[2], b[3]);
        }
      }
    }
    if constexpr (kMasked) {
#pragma unroll
      for (int m = 0; m < Tile::kMatrices; ++m) {
        // The query less the key, of this lane's first element.
        const int distance = ahead + 16 * (m - n) + lane / 4 - lane % 4 * 2;
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          if (distance + i % 4 / 2 * 8 - i / 4 * 8 - i % 2 < 0) {
            scores[m][2 * n + i / 4][i % 4] = Max::identity();
          }
        }
      }
    }
  }
}

// Replaces scores by exp(scale (score - largest)) with the new largest, and brings sum and out to
// it.
template <class Tile>
__device__ __forceinline__ void softmax(Scores<Tile>& scores, RowState<Tile>& state,
                                        float scale_log2) {
#pragma unroll
  for (int m = 0; m < Tile::kMatrices; ++m) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float largest = state.largest[m][h];
#pragma unroll
      for (int n = 0; n < kInnerRows / 8; ++n) {
        largest = fmaxf(largest, fmaxf(scores[m][n][2 * h], scores[m][n][2 * h + 1]));
      }
      largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 2));
      const float shift = largest * scale_log2;
      const float shrink = exp2_approximate(fmaf(state.largest[m][h], scale_log2, -shift));
      state.largest[m][h] = largest;
      float even = 0.0f, odd = 0.0f;
#pragma unroll
      for (int n = 0; n < kInnerRows / 8; ++n) {
        scores[m][n][2 * h] = exp2_approximate(fmaf(scores[m][n][2 * h], scale_log2, -shift));
        scores[m][n][2 * h + 1] =
            exp2_approximate(fmaf(scores[m][n][2 * h + 1], scale_log2, -shift));
        even += scores[m][n][2 * h];
        odd += scores[m][n][2 * h + 1];
      }
      state.sum[m][h] = fmaf(state.sum[m][h], shrink, even + odd);
#pragma unroll
      for (int n = 0; n < Tile::kColumns / 8; ++n) {
        state.out[m][n][2 * h] *= shrink;
        state.out[m][n][2 * h + 1] *= shrink;
      }
    }
  }
}

template <class Tile>
__device__ __forceinline__ void drop(Scores<Tile>& scores, const HeadDropout& dropout, int query,
                                     int key) {
#pragma unroll
  for (int m = 0; m < Tile::kMatrices; ++m) {
#pragma unroll
    for (int n = 0; n < kInnerRows / 8; ++n) {
      float factors[4];
      piece_factors(dropout, query + 16 * m, key + 8 * n, factors);
#pragma unroll
      for (int i = 0; i < 4; ++i) scores[m][n][i] *= factors[i];
    }
  }
}

// out += P V.
template <class T, class Tile, bool kMasked>
__device__ __forceinline__ void multiply_values(RowState<Tile>& state, const Scores<Tile>& p,
                                                std::uint32_t values, int ahead) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
  for (int n = 0; n < kInnerRows / 16; ++n) {
    if (kMasked && !is_seen(ahead + 16 * (Tile::kMatrices - 1 - n))) continue;
    std::uint32_t a[Tile::kMatrices][4];
#pragma unroll
    for (int m = 0; m < Tile::kMatrices; ++m) {
      pack_half<T>(a[m], 0, p[m][2 * n]);
      pack_half<T>(a[m], 1, p[m][2 * n + 1]);
    }
    const std::uint32_t address = row_major_address<Tile>(values + n * 16 * Tile::kRowBytes, lane);
#pragma unroll
    for (int step = 0; step < Tile::kSteps; ++step) {
      std::uint32_t b[4];
      load_matrices_transposed(b, attention_tile_step(address, step));
#pragma unroll
      for (int m = 0; m < Tile::kMatrices; ++m) {
        if (kMasked && !is_seen(ahead + 16 * (m - n))) continue;
        multiply_add<T>(state.out[m][2 * step], a[m], b[0], b[1]);
        multiply_add<T>(state.out[m][2 * step + 1], a[m], b[2], b[3]);
      }
    }
  }
}

template <class T, class Tile, bool kMasked, bool kDropout>
__device__ __forceinline__ void visit_tile(
    RowState<Tile>& state, const std::uint32_t (&q)[Tile::kMatrices][Tile::kSteps][4],
    std::uint32_t keys, int query, int key, float scale_log2, const HeadDropout& dropout) {
  const int ahead = query - key;
  if (kMasked && !is_seen(ahead + 16 * (Tile::kMatrices - 1))) return;
  Scores<Tile> scores;
  multiply_scores<T, Tile, kMasked>(scores, q, keys, ahead);
  softmax<Tile>(scores, state, scale_log2);
  if constexpr (kDropout) drop<Tile>(scores, dropout, query, key);
  multiply_values<T, Tile, kMasked>(state, scores, keys + Tile::kInnerBytes, ahead);
}

// The warp's rows of out and log_sum_exp.
template <class T, class Tile>
__device__ __forceinline__ void finish_rows(const RowState<Tile>& state, const Operands<T>& op,
                                            std::uint8_t* tile, HeadRows<T> out, float* log_sum_exp,
                                            int query) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  float inverse[Tile::kMatrices][2];
#pragma unroll
  for (int m = 0; m < Tile::kMatrices; ++m) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float sum = state.sum[m][h];
      sum += __shfl_xor_sync(kAllLanes, sum, 1);
      sum += __shfl_xor_sync(kAllLanes, sum, 2);
      inverse[m][h] = 1.0f / sum;
      const int row = query + 16 * m + 8 * h + lane / 4;
      if (lane % 4 == 0 && row < op.length) {
        log_sum_exp[row] = fmaf(state.largest[m][h], op.scale, logf(sum));
      }
    }
  }
  store_rows<T, Tile>(state.out, inverse, tile, out, query, op.length, op.head_width);
}

template <class T, class Tile, bool kDropout>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    attention_forward_tiles(const Operands<T> op) {
  // Two stages of K and V, 64 rows each; Q begins in the second, O ends in the first two tiles.
  extern __shared__ __align__(kAttentionTileAlignment) std::uint8_t memory[];
  const std::uint32_t shared = shared_address(memory);
  constexpr int kStage = 2 * Tile::kInnerBytes;
  const std::int64_t head = blockIdx.x, sequence = head / op.heads;
  const std::int64_t width = op.head_width, C = op.heads * width;
  const int first = static_cast<int>(gridDim.y - 1 - blockIdx.y) * kOuterRows;
  // Through lane 0, so that the compiler knows it to be the same for the warp.
  const int warp = __shfl_sync(kAllLanes, static_cast<int>(threadIdx.x) / kWarp, 0);
  const int query = first + warp * 16 * Tile::kMatrices;
  const std::int64_t column = head % op.heads * width;
  const HeadRows<const T> q_rows{op.qkv + sequence * op.length * 3 * C + column, 3 * C};
  const HeadRows<const T> k_rows{q_rows.first + C, 3 * C}, v_rows{q_rows.first + 2 * C, 3 * C};
  const auto copy_stage = [&](int stage, int key) {
    const std::uint32_t at = shared + stage * kStage;
    copy_tile<Tile, kInnerRows>(at, k_rows, key, op.length, op.head_width);
    copy_tile<Tile, kInnerRows>(at + Tile::kInnerBytes, v_rows, key, op.length, op.head_width);
    copy_async_commit();
  };

  copy_tile<Tile, kOuterRows>(shared + kStage, q_rows, first, op.length, op.head_width);
  copy_async_commit();
  copy_stage(0, 0);
  copy_async_wait<1>();
  __syncthreads();
  std::uint32_t q[Tile::kMatrices][Tile::kSteps][4];
#pragma unroll
  for (int m = 0; m < Tile::kMatrices; ++m) {
    const std::uint32_t address =
        row_major_address<Tile>(shared + kStage + (query - first + 16 * m) * Tile::kRowBytes,
                                static_cast<int>(threadIdx.x) % kWarp);
#pragma unroll
    for (int step = 0; step < Tile::kSteps; ++step) {
      load_matrices(q[m][step], attention_tile_step(address, step));
    }
  }

  RowState<Tile> state;
#pragma unroll
  for (int m = 0; m < Tile::kMatrices; ++m) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      state.largest[m][h] = Max::identity();
      state.sum[m][h] = 0.0f;
    }
#pragma unroll
    for (int n = 0; n < Tile::kColumns / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) state.out[m][n][i] = 0.0f;
    }
  }
  const HeadDropout dropout = head_dropout(op.dropout, head, op.length);
  const int end = min(first + kOuterRows, op.length);
  int stage = 0;
  // The tile's stage is there for all warps, and all have read the other one, which is filled
  // again.
  const auto next_stage = [&](int key) {
    copy_async_wait<0>();
    __syncthreads();
    if (key + kInnerRows < end) copy_stage(stage ^ 1, key + kInnerRows);
    const std::uint32_t at = shared + stage * kStage;
    stage ^= 1;
    return at;
  };
  int key = 0;
  for (; key < first; key += kInnerRows) {
    visit_tile<T, Tile, false, kDropout>(state, q, next_stage(key), query, key, op.scale_log2,
                                         dropout);
  }
  for (; key < end; key += kInnerRows) {
    visit_tile<T, Tile, true, kDropout>(state, q, next_stage(key), query, key, op.scale_log2,
                                        dropout);
  }
  __syncthreads();
  finish_rows<T, Tile>(state, op, memory + warp * (Tile::kOuterBytes / Tile::kWarps),
                       {op.out + sequence * op.length * C + column, C},
                       op.log_sum_exp + head * op.length, query);
}

template <class T, int kColumns, bool kDropout>
void launch(ExecutionContext& ctx, const Operands<T>& operands, const AttentionShape& shape) {
  const dim3 blocks(static_cast<unsigned>(shape.sequences * shape.heads),
                    static_cast<unsigned>((shape.length + kOuterRows - 1) / kOuterRows));
  using Tile = TileShape<kColumns, kDropout>;
  constexpr int kBytes = 4 * Tile::kInnerBytes;
  const auto kernel = attention_forward_tiles<T, Tile, kDropout>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
  kernel<<<blocks, Tile::kThreads, kBytes, stream_of(ctx)>>>(operands);
  check_launch("attention_forward");
}

template <class T>
void forward(ExecutionContext& ctx, const Attention& op, const AttentionShape& shape) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(shape.head_width));
  const Operands<T> operands{.qkv = static_cast<const T*>(op.qkv.raw()),
                             .out = static_cast<T*>(op.out.raw()),
                             .log_sum_exp = op.log_sum_exp.data<float>(),
                             .length = static_cast<int>(shape.length),
                             .heads = static_cast<int>(shape.heads),
                             .head_width = static_cast<int>(shape.head_width),
                             .scale = scale,
                             .scale_log2 = scale * kLog2E,
                             .dropout = op.dropout.value_or(DropoutMask{})};
  if (shape.head_width <= 64) {
    op.dropout ? launch<T, 64, true>(ctx, operands, shape)
               : launch<T, 64, false>(ctx, operands, shape);
  } else {
    op.dropout ? launch<T, 128, true>(ctx, operands, shape)
               : launch<T, 128, false>(ctx, operands, shape);
  }
}

}  // namespace

void attention_forward_mma(ExecutionContext& ctx, const Attention& op,
                           const AttentionShape& shape) {
  op.qkv.dtype() == DType::kBfloat16 ? forward<__nv_bfloat16>(ctx, op, shape)
                                     : forward<__half>(ctx, op, shape);
}

}  // namespace ovid::kernels::cuda
