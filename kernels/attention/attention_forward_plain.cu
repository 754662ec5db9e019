#include <cmath>

#include "kernels/attention/attention_cuda.cuh"
#include "kernels/attention/attention_plain_tile.cuh"
#include "kernels/cuda/approximate.cuh"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device_state.cuh"

// A block owns 64 queries of one head and 64 columns of the result, and goes over the key tiles up
// to the diagonal (online softmax). Heads wider than 64 have a block for each 64 columns, which all
// compute the same scores.
namespace ovid::kernels::cuda {

namespace {

using namespace attention_plain;

template <class T>
struct Operands {
  const T* qkv;        // (B, T, 3C)
  T* out;              // (B, T, C)
  float* log_sum_exp;  // (B, H, T)
  int length, heads, head_width;
  float scale;
  bool drops;
  DropoutMask dropout;
};

// Of rows 4 y + i.
struct RowState {
  Block out;
  float largest[4], sum[4];  // sums of all lanes of the row
};

// The sum or maximum of the 16 threads that share rows.
template <class Op>
__device__ __forceinline__ float reduce_row(float value, Op op) {
#pragma unroll
  for (int distance = 8; distance > 0; distance /= 2) {
    value = op(value, __shfl_xor_sync(kAllLanes, value, distance));
  }
  return value;
}

// Replaces scores by exp(scale (score - largest)) and brings sum and out to the new largest.
__device__ __forceinline__ void softmax(Block& scores, RowState& state, float scale_log2) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    float largest = fmaxf(fmaxf(scores[i][0], scores[i][1]), fmaxf(scores[i][2], scores[i][3]));
    largest = fmaxf(state.largest[i], reduce_row(largest, Max{}));
    const float shift = largest * scale_log2;
    const float shrink = exp2_approximate(fmaf(state.largest[i], scale_log2, -shift));
    float sum = 0.0f;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      scores[i][j] = exp2_approximate(fmaf(scores[i][j], scale_log2, -shift));
      sum += scores[i][j];
      state.out[i][j] *= shrink;
    }
    state.sum[i] = fmaf(state.sum[i], shrink, reduce_row(sum, Sum{}));
    state.largest[i] = largest;
  }
}

template <class T, bool kPacks>
__global__ void __launch_bounds__(kThreads, 1) attention_forward_plain_tiles(const Operands<T> op) {
  extern __shared__ __align__(128) float tiles[];
  float *queries = tiles, *keys = tiles + kTileFloats, *weights = tiles + 2 * kTileFloats;
  const int x = static_cast<int>(threadIdx.x) % 16, y = static_cast<int>(threadIdx.x) / 16;
  const std::int64_t head = blockIdx.x, sequence = head / op.heads;
  const std::int64_t width = op.head_width, C = op.heads * width;
  const std::int64_t column = head % op.heads * width;
  const int first = static_cast<int>(gridDim.y - 1 - blockIdx.y) * kTile;
  const int own = static_cast<int>(blockIdx.z) * kTile;
  const Rows<const T> q{op.qkv + sequence * op.length * 3 * C + column, 3 * C};
  const Rows<const T> k{q.first + C, 3 * C}, v{q.first + 2 * C, 3 * C};
  const attention::HeadDropout dropout = attention::head_dropout(op.dropout, head, op.length);
  const float scale_log2 = op.scale * kLog2E;
  RowState state;
  clear(state.out);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    state.largest[i] = Max::identity();
    state.sum[i] = 0.0f;
  }
  for (int key = 0; key <= first; key += kTile) {
    Block scores;
    clear(scores);
    for (int chunk = 0; chunk < op.head_width; chunk += kTile) {
      __syncthreads();
      if (key == 0 || op.head_width > kTile) {
        load_tile<kPacks>(queries, q, first, op.length, chunk, op.head_width);
      }
      load_tile<kPacks>(keys, k, key, op.length, chunk, op.head_width);
      __syncthreads();
      add_products_of_rows(scores, queries, keys, x, y);
    }
    if (key == first) {
#pragma unroll
      for (int i = 0; i < 16; ++i) {
        if (x + i % 4 * 16 > 4 * y + i / 4) scores[i / 4][i % 4] = Max::identity();
      }
    }
    softmax(scores, state, scale_log2);
    if (op.drops) {
      write_factors<false>(weights, dropout, first, key);
      __syncthreads();
#pragma unroll
      for (int i = 0; i < 16; ++i) {
        scores[i / 4][i % 4] *= weights[place(4 * y + i / 4, x + i % 4 * 16)];
      }
    }
    // Each thread overwrites the factors that it alone has read; keys have been read by all after
    // it.
    write_block(weights, scores, x, y);
    __syncthreads();
    load_tile<kPacks>(keys, v, key, op.length, own, op.head_width);
    __syncthreads();
    add_product(state.out, weights, keys, x, y);
  }
  float inverse[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    inverse[i] = 1.0f / state.sum[i];
    const int row = first + 4 * y + i;
    if (x == 0 && own == 0 && row < op.length) {
      op.log_sum_exp[head * op.length + row] = fmaf(state.largest[i], op.scale, logf(state.sum[i]));
    }
  }
  store_block<kPacks, T>(state.out, inverse, {op.out + sequence * op.length * C + column, C}, first,
                         op.length, own, op.head_width, x, y);
}

}  // namespace

void attention_forward_plain(ExecutionContext& ctx, const Attention& op,
                             const AttentionShape& shape) {
  dispatch(op.qkv.dtype(), [&]<class T>() {
    const std::int64_t D = shape.head_width;
    const Operands<T> operands{.qkv = static_cast<const T*>(op.qkv.raw()),
                               .out = static_cast<T*>(op.out.raw()),
                               .log_sum_exp = op.log_sum_exp.data<float>(),
                               .length = static_cast<int>(shape.length),
                               .heads = static_cast<int>(shape.heads),
                               .head_width = static_cast<int>(D),
                               .scale = 1.0f / std::sqrt(static_cast<float>(D)),
                               .drops = op.dropout.has_value(),
                               .dropout = op.dropout.value_or(DropoutMask{})};
    const auto tiles = [](std::int64_t n) {
      return static_cast<unsigned>((n + kTile - 1) / kTile);
    };
    const dim3 blocks(static_cast<unsigned>(shape.sequences * shape.heads), tiles(shape.length),
                      tiles(D));
    const bool packs = rows_take_packs<T>(op.qkv.raw(), D) && rows_take_packs<T>(op.out.raw(), D);
    const auto kernel =
        packs ? attention_forward_plain_tiles<T, true> : attention_forward_plain_tiles<T, false>;
    constexpr int kBytes = 3 * kTileFloats * static_cast<int>(sizeof(float));
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
    kernel<<<blocks, kThreads, kBytes, stream_of(ctx)>>>(operands);
    check_launch("attention_forward (plain)");
  });
}

}  // namespace ovid::kernels::cuda
