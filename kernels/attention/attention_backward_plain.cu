#include <cmath>

#include "kernels/attention/attention_cuda.cuh"
#include "kernels/attention/attention_plain_tile.cuh"
#include "kernels/cuda/approximate.cuh"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device_state.cuh"

// As attention_backward_mma.cu, in float: a block owns 64 outer rows of one head and 64 columns of
// their gradients, and goes over the tiles of 64 inner rows at or below the diagonal.
//   kKeys:     outer rows are keys, inner ones queries;  d_k += dS^T q,  d_v += P^T d_o
//   otherwise: outer rows are queries, inner ones keys;  d_q += dS k
namespace ovid::kernels::cuda {

namespace {

using namespace attention_plain;

template <class T>
struct Operands {
  const T* d_out;                            // (B, T, C)
  const T* qkv;                              // (B, T, 3C)
  const AttentionRowStatistics* statistics;  // (B, H, T)
  T* d_qkv;                                  // (B, T, 3C)
  int length, heads, head_width;
  float scale;
  bool drops;
  DropoutMask dropout;
};

// Five tiles of shared memory.
struct Tiles {
  float *first_outer, *second_outer, *first_inner, *second_inner, *factor;
};

// Scores become P, d_p becomes dS, of inner rows x + 16 j from `inner` on; `factors`: of dropout, a
// tile, or null.
template <bool kKeys>
__device__ __forceinline__ void differentiate(Block& scores, Block& d_p,
                                              const AttentionRowStatistics* statistics, int length,
                                              int outer, int inner, float scale_log2,
                                              const float* factors, int x, int y) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int row = outer + 4 * y + i, column = inner + x + 16 * j;
      const int query = kKeys ? column : row, key = kKeys ? row : column;
      const AttentionRowStatistics of_query =
          query < length ? statistics[query] : AttentionRowStatistics{0.0f, 0.0f};
      const float z = factors == nullptr ? 1.0f : factors[place(4 * y + i, x + 16 * j)];
      float p = exp2_approximate(fmaf(scores[i][j], scale_log2, -of_query.log_sum_exp));
      if (key > query) p = 0.0f;
      d_p[i][j] = p * fmaf(d_p[i][j], z, -of_query.delta);
      scores[i][j] = p * z;
    }
  }
}

template <class T, bool kKeys, bool kPacks>
__global__ void __launch_bounds__(kThreads) attention_backward_plain_tiles(const Operands<T> op) {
  extern __shared__ __align__(128) float memory[];
  const Tiles tiles{memory, memory + kTileFloats, memory + 2 * kTileFloats,
                    memory + 3 * kTileFloats, memory + 4 * kTileFloats};
  const int x = static_cast<int>(threadIdx.x) % 16, y = static_cast<int>(threadIdx.x) / 16;
  const std::int64_t head = blockIdx.x, sequence = head / op.heads;
  const std::int64_t width = op.head_width, C = op.heads * width;
  const std::int64_t at = sequence * op.length * 3 * C + head % op.heads * width;
  const Rows<const T> q{op.qkv + at, 3 * C}, k{q.first + C, 3 * C}, v{q.first + 2 * C, 3 * C};
  const Rows<const T> d_o{op.d_out + sequence * op.length * C + head % op.heads * width, C};
  const Rows<const T> first_outer = kKeys ? k : q, second_outer = kKeys ? v : d_o;
  const Rows<const T> first_inner = kKeys ? q : k, second_inner = kKeys ? d_o : v;
  const int outer = static_cast<int>(kKeys ? blockIdx.y : gridDim.y - 1 - blockIdx.y) * kTile;
  const int own = static_cast<int>(blockIdx.z) * kTile;
  const attention::HeadDropout dropout = attention::head_dropout(op.dropout, head, op.length);
  const int begin = kKeys ? outer : 0, end = kKeys ? op.length : outer + kTile;
  const bool wide = op.head_width > kTile;
  Block d_first, d_second;
  clear(d_first);
  clear(d_second);
  for (int inner = begin; inner < end; inner += kTile) {
    const auto load_inner = [&](int column) {
      load_tile<kPacks>(tiles.first_inner, first_inner, inner, op.length, column, op.head_width);
      load_tile<kPacks>(tiles.second_inner, second_inner, inner, op.length, column, op.head_width);
    };
    Block scores, d_p;
    clear(scores);
    clear(d_p);
    for (int chunk = 0; chunk < op.head_width; chunk += kTile) {
      __syncthreads();
      if (inner == begin || wide) {
        load_tile<kPacks>(tiles.first_outer, first_outer, outer, op.length, chunk, op.head_width);
        load_tile<kPacks>(tiles.second_outer, second_outer, outer, op.length, chunk, op.head_width);
      }
      load_inner(chunk);
      __syncthreads();
      add_products_of_rows(scores, tiles.first_outer, tiles.first_inner, x, y);
      add_products_of_rows(d_p, tiles.second_outer, tiles.second_inner, x, y);
    }
    if (op.drops) {
      write_factors<kKeys>(tiles.factor, dropout, kKeys ? inner : outer, kKeys ? outer : inner);
    }
    __syncthreads();
    if (wide) load_inner(own);
    differentiate<kKeys>(scores, d_p, op.statistics + head * op.length, op.length, outer, inner,
                         op.scale * kLog2E, op.drops ? tiles.factor : nullptr, x, y);
    if constexpr (kKeys) {
      // Each thread overwrites the factors that it alone has read.
      write_block(tiles.factor, scores, x, y);
      __syncthreads();
      add_product(d_second, tiles.factor, tiles.second_inner, x, y);
      __syncthreads();
    }
    write_block(tiles.factor, d_p, x, y);
    __syncthreads();
    add_product(d_first, tiles.factor, tiles.first_inner, x, y);
  }
  const float scale[4] = {op.scale, op.scale, op.scale, op.scale}, one[4] = {1, 1, 1, 1};
  store_block<kPacks, T>(d_first, scale, {op.d_qkv + at + (kKeys ? C : 0), 3 * C}, outer, op.length,
                         own, op.head_width, x, y);
  if constexpr (kKeys) {
    store_block<kPacks, T>(d_second, one, {op.d_qkv + at + 2 * C, 3 * C}, outer, op.length, own,
                           op.head_width, x, y);
  }
}

template <class T, bool kKeys>
void launch(ExecutionContext& ctx, const Operands<T>& operands, const AttentionShape& shape) {
  const auto tiles = [](std::int64_t n) { return static_cast<unsigned>((n + kTile - 1) / kTile); };
  const dim3 blocks(static_cast<unsigned>(shape.sequences * shape.heads), tiles(shape.length),
                    tiles(shape.head_width));
  const bool packs = rows_take_packs<T>(operands.qkv, shape.head_width) &&
                     rows_take_packs<T>(operands.d_out, shape.head_width) &&
                     rows_take_packs<T>(operands.d_qkv, shape.head_width);
  const auto kernel = packs ? attention_backward_plain_tiles<T, kKeys, true>
                            : attention_backward_plain_tiles<T, kKeys, false>;
  constexpr int kBytes = 5 * kTileFloats * static_cast<int>(sizeof(float));
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
  kernel<<<blocks, kThreads, kBytes, stream_of(ctx)>>>(operands);
  check_launch("attention_backward (plain)");
}

}  // namespace

void attention_backward_plain(ExecutionContext& ctx, const AttentionGradient& op,
                              const AttentionShape& shape,
                              const AttentionRowStatistics* statistics) {
  dispatch(op.qkv.dtype(), [&]<class T>() {
    const Operands<T> operands{.d_out = static_cast<const T*>(op.d_out.raw()),
                               .qkv = static_cast<const T*>(op.qkv.raw()),
                               .statistics = statistics,
                               .d_qkv = static_cast<T*>(op.d_qkv.raw()),
                               .length = static_cast<int>(shape.length),
                               .heads = static_cast<int>(shape.heads),
                               .head_width = static_cast<int>(shape.head_width),
                               .scale = 1.0f / std::sqrt(static_cast<float>(shape.head_width)),
                               .drops = op.dropout.has_value(),
                               .dropout = op.dropout.value_or(DropoutMask{})};
    launch<T, true>(ctx, operands, shape);
    launch<T, false>(ctx, operands, shape);
  });
}

}  // namespace ovid::kernels::cuda
