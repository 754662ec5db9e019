#include <cmath>

#include "kernels/attention/attention_cuda.cuh"
#include "kernels/attention/attention_cuda_dropout.cuh"
#include "kernels/attention/attention_mma_tile.cuh"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device_state.cuh"

// Two kernels of one form. A block owns 128 rows of one head, the outer ones, a warp 32 of them (16
// of heads wider than 64), and goes over the tiles of 64 inner rows that they meet at or below the
// diagonal, 16 inner rows at a time, with scores and d_P recomputed:
//   kKeys:     outer rows are keys, inner ones queries;  d_k += dS^T q,  d_v += P^T d_o
//   otherwise: outer rows are queries, inner ones keys;  d_q += dS k
// Outer operands and all sums stay in registers; P and dS go from one product's result to the next
// one's operand without leaving them. Both sums run in a fixed order: equal bits without locks.
//
// One kernel for all three would save two of seven products, but d_q would have to go through
// float32 in global memory, in a fixed order through locks, and dS through shared memory. By the
// model of cycles (products + shared memory's accesses) of a 128 x 64 piece of 64 columns on sm_80
// it needs 2,560 + 2,944, before any waiting; these two need 2,048 + 1,024 and 1,536 + 768, since
// fragments of inner rows serve 32 outer rows.
namespace ovid::kernels::cuda {

namespace {

using namespace attention;

template <class T>
struct Operands {
  const T* d_out;                            // (B, T, C)
  const T* qkv;                              // (B, T, 3C)
  const AttentionRowStatistics* statistics;  // (B, H, T)
  T* d_qkv;                                  // (B, T, 3C)
  int length, heads, head_width;
  float scale, scale_log2;  // 1 / sqrt(D), and times log2(e)
  DropoutMask dropout;
};

// The operands of one head by their parts in the products:
//   S = first_outer first_inner^T,  d_P = second_outer second_inner^T
template <class T>
struct Head {
  HeadRows<const T> first_outer, second_outer, first_inner, second_inner;
  HeadRows<T> d_first, d_second;  // of the outer rows; d_second of keys alone
  const AttentionRowStatistics* statistics;
};

template <class T, bool kKeys>
__device__ __forceinline__ Head<T> head_of(const Operands<T>& op, std::int64_t head) {
  const std::int64_t sequence = head / op.heads, column = head % op.heads * op.head_width;
  const std::int64_t width = op.head_width, C = op.heads * width;
  const std::int64_t place = sequence * op.length * 3 * C + column;
  const HeadRows<const T> q{op.qkv + place, 3 * C}, k{op.qkv + place + C, 3 * C},
      v{op.qkv + place + 2 * C, 3 * C};
  const HeadRows<const T> d_o{op.d_out + sequence * op.length * C + column, C};
  const AttentionRowStatistics* statistics = op.statistics + head * op.length;
  if constexpr (kKeys) {
    return {k,         v, q, d_o, {op.d_qkv + place + C, 3 * C}, {op.d_qkv + place + 2 * C, 3 * C},
            statistics};
  } else {
    return {q, d_o, k, v, {op.d_qkv + place, 3 * C}, {}, statistics};
  }
}

template <class Tile>
using OuterFragments = std::uint32_t[Tile::kMatrices][Tile::kSteps][4];
template <class Tile>
using Sums = float[Tile::kMatrices][Tile::kColumns / 8][4];
// Of 16 kMatrices outer by 8 inner rows; and of 16 inner rows, rounded.
template <class Tile>
using Piece = float[Tile::kMatrices][4];
template <class Tile>
using Factor = std::uint32_t[Tile::kMatrices][4];

// A warp's share of the work.
template <class Tile, bool kKeys>
struct Warp {
  OuterFragments<Tile> first, second;
  Sums<Tile> d_first;
  Sums<Tile> d_second;                                    // of keys alone
  AttentionRowStatistics statistics[Tile::kMatrices][2];  // of outer queries; of rows l / 4 + 8 h
  int outer;                                              // the warp's first row
};

// Whether a 16 x 16 piece holds elements at or below the diagonal.
template <bool kKeys>
__device__ __forceinline__ bool is_seen(int outer, int inner) {
  return kKeys ? inner >= outer : inner <= outer;
}
template <class Tile, bool kKeys>
__device__ __forceinline__ bool is_seen_by_warp(int outer, int inner) {
  return kKeys ? inner >= outer : inner <= outer + 16 * (Tile::kMatrices - 1);
}

// piece = outer inner^T, of 8 inner rows at `rows` in shared memory; `inner` is the first of their
// 16 x 16 piece.
template <class T, class Tile, bool kKeys, bool kMasked>
__device__ __forceinline__ void multiply_rows(Piece<Tile>& piece,
                                              const OuterFragments<Tile>& fragments,
                                              std::uint32_t rows, int lane, int outer, int inner) {
#pragma unroll
  for (int m = 0; m < Tile::kMatrices; ++m) {
#pragma unroll
    for (int i = 0; i < 4; ++i) piece[m][i] = 0.0f;
  }
  const std::uint32_t address = eight_rows_address<Tile>(rows, lane);
#pragma unroll
  for (int step = 0; step < Tile::kSteps; step += 2) {
    std::uint32_t b[4];
    load_matrices(b, attention_tile_step(address, step));
#pragma unroll
    for (int m = 0; m < Tile::kMatrices; ++m) {
      if (kMasked && !is_seen<kKeys>(outer + 16 * m, inner)) continue;
      multiply_add<T>(piece[m], fragments[m][step], b[0], b[1]);
      multiply_add<T>(piece[m], fragments[m][step + 1], b[2], b[3]);
    }
  }
}

// sums += a inner, of 16 inner rows at `rows` in shared memory.
template <class T, class Tile, bool kKeys, bool kMasked>
__device__ __forceinline__ void add_product(Sums<Tile>& sums, const Factor<Tile>& a,
                                            std::uint32_t rows, int lane, int outer, int inner) {
  const std::uint32_t address = row_major_address<Tile>(rows, lane);
#pragma unroll
  for (int step = 0; step < Tile::kSteps; ++step) {
    std::uint32_t b[4];
    load_matrices_transposed(b, attention_tile_step(address, step));
#pragma unroll
    for (int m = 0; m < Tile::kMatrices; ++m) {
      if (kMasked && !is_seen<kKeys>(outer + 16 * m, inner)) continue;
      multiply_add<T>(sums[m][2 * step], a[m], b[0], b[1]);
      multiply_add<T>(sums[m][2 * step + 1], a[m], b[2], b[3]);
    }
  }
}

// Scores become P (with dropout where there is any), d_p becomes dS, of 8 inner rows from `inner`:
//   P = exp(scale S - l),  dS = P (z d_P - delta)
// row_statistics: of inner rows 2 (l % 4) and one more, where they are queries.
template <class Tile, bool kKeys, bool kMasked, bool kDropout>
__device__ __forceinline__ void differentiate(Piece<Tile>& scores, Piece<Tile>& d_p,
                                              const Warp<Tile, kKeys>& warp, int lane, int inner,
                                              const float4& row_statistics, float scale_log2,
                                              const HeadDropout& dropout) {
#pragma unroll
  for (int m = 0; m < Tile::kMatrices; ++m) {
    const int outer = warp.outer + 16 * m;
    float factors[4];
    if constexpr (kDropout) {
      if constexpr (kKeys) {
        transposed_piece_factors(dropout, inner, outer, factors);
      } else {
        piece_factors(dropout, outer, inner, factors);
      }
    }
    // How far this lane's first element lies behind the diagonal.
    const int distance = outer + lane / 4 - inner - lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const AttentionRowStatistics row =
          kKeys ? (i % 2 == 0 ? AttentionRowStatistics{row_statistics.x, row_statistics.y}
                              : AttentionRowStatistics{row_statistics.z, row_statistics.w})
                : warp.statistics[m][i / 2];
      float p = exp2_approximate(fmaf(scores[m][i], scale_log2, -row.log_sum_exp));
      if constexpr (kMasked) {
        const int d = distance + i / 2 * 8 - i % 2;
        if (kKeys ? d > 0 : d < 0) p = 0.0f;
      }
      if constexpr (kDropout) {
        d_p[m][i] = p * fmaf(d_p[m][i], factors[i], -row.delta);
        p *= factors[i];
      } else {
        d_p[m][i] = p * (d_p[m][i] - row.delta);
      }
      scores[m][i] = p;
    }
  }
}

// 64 inner rows from `inner` on: tiles of first_inner and second_inner side by side at `tiles`.
template <class T, class Tile, bool kKeys, bool kMasked, bool kDropout>
__device__ __forceinline__ void visit_tile(Warp<Tile, kKeys>& warp, std::uint32_t tiles, int inner,
                                           const float4* row_statistics, float scale_log2,
                                           const HeadDropout& dropout) {
#pragma unroll 1
  for (int row = 0; row < kInnerRows; row += 16) {
    const int lane = thread_index_here() % kWarp;
    const int at = inner + row;
    if (kMasked && !is_seen_by_warp<Tile, kKeys>(warp.outer, at)) continue;
    const std::uint32_t first = tiles + row * Tile::kRowBytes, second = first + Tile::kInnerBytes;
    Factor<Tile> p, d_s;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int offset = 8 * half * Tile::kRowBytes;
      Piece<Tile> scores, d_p;
      multiply_rows<T, Tile, kKeys, kMasked>(scores, warp.first, first + offset, lane, warp.outer,
                                             at);
      multiply_rows<T, Tile, kKeys, kMasked>(d_p, warp.second, second + offset, lane, warp.outer,
                                             at);
      const float4 statistics = kKeys ? row_statistics[row / 2 + 4 * half + lane % 4] : float4{};
      differentiate<Tile, kKeys, kMasked, kDropout>(scores, d_p, warp, lane, at + 8 * half,
                                                    statistics, scale_log2, dropout);
#pragma unroll
      for (int m = 0; m < Tile::kMatrices; ++m) {
        if constexpr (kKeys) pack_half<T>(p[m], half, scores[m]);
        pack_half<T>(d_s[m], half, d_p[m]);
      }
    }
    if constexpr (kKeys) {
      add_product<T, Tile, kKeys, kMasked>(warp.d_second, p, second, lane, warp.outer, at);
    }
    add_product<T, Tile, kKeys, kMasked>(warp.d_first, d_s, first, lane, warp.outer, at);
  }
}

template <class Tile, bool kKeys>
__device__ __forceinline__ void begin(Warp<Tile, kKeys>& warp, std::uint32_t first,
                                      std::uint32_t second, int row,
                                      const AttentionRowStatistics* statistics, int length) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
  for (int m = 0; m < Tile::kMatrices; ++m) {
    const int rows = (row + 16 * m) * Tile::kRowBytes;
#pragma unroll
    for (int step = 0; step < Tile::kSteps; ++step) {
      load_matrices(warp.first[m][step],
                    attention_tile_step(row_major_address<Tile>(first + rows, lane), step));
      load_matrices(warp.second[m][step],
                    attention_tile_step(row_major_address<Tile>(second + rows, lane), step));
    }
#pragma unroll
    for (int n = 0; n < Tile::kColumns / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        warp.d_first[m][n][i] = 0.0f;
        if constexpr (kKeys) warp.d_second[m][n][i] = 0.0f;
      }
    }
    if constexpr (!kKeys) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int query = warp.outer + 16 * m + 8 * h + lane / 4;
        warp.statistics[m][h] =
            query < length ? statistics[query] : AttentionRowStatistics{0.0f, 0.0f};
      }
    }
  }
}

// Two stages of 64 inner rows of both operands, and of statistics; outer operands begin, and
// results end, in the same place.
template <class Tile>
constexpr int kStatisticsBytes = kInnerRows* static_cast<int>(sizeof(AttentionRowStatistics));
template <class Tile>
constexpr int kSharedBytes = 4 * Tile::kInnerBytes + 2 * kStatisticsBytes<Tile>;

template <class T, class Tile, bool kKeys, bool kDropout>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    attention_backward_tiles(const Operands<T> op) {
  extern __shared__ __align__(kAttentionTileAlignment) std::uint8_t memory[];
  const std::uint32_t shared = shared_address(memory);
  constexpr int kStage = 2 * Tile::kInnerBytes, kStatistics = 2 * kStage;
  // Read where it is needed: there are no registers to keep it in.
  __shared__ Head<T> head;
  if (threadIdx.x == 0) head = head_of<T, kKeys>(op, blockIdx.x);
  __syncthreads();
  // The longest first: the first keys, the last queries.
  const int tile = static_cast<int>(kKeys ? blockIdx.y : gridDim.y - 1 - blockIdx.y);
  const int first = tile * kOuterRows;
  // Through lane 0, so that the compiler knows it to be the same for the warp.
  const int index = __shfl_sync(kAllLanes, static_cast<int>(threadIdx.x) / kWarp, 0);
  const int row = index * 16 * Tile::kMatrices;

  copy_tile<Tile, kOuterRows>(shared, head.first_outer, first, op.length, op.head_width);
  copy_tile<Tile, kOuterRows>(shared + kStage, head.second_outer, first, op.length, op.head_width);
  copy_async_commit();
  copy_async_wait<0>();
  __syncthreads();
  Warp<Tile, kKeys> warp;
  warp.outer = first + row;
  begin<Tile, kKeys>(warp, shared, shared + kStage, row, head.statistics, op.length);
  __syncthreads();

  const auto copy_stage = [&](int stage, int inner) {
    const std::uint32_t at = shared + stage * kStage;
    copy_tile<Tile, kInnerRows>(at, head.first_inner, inner, op.length, op.head_width);
    copy_tile<Tile, kInnerRows>(at + Tile::kInnerBytes, head.second_inner, inner, op.length,
                                op.head_width);
    if (const int i = static_cast<int>(threadIdx.x); kKeys && i < kInnerRows) {
      const bool inside = inner + i < op.length;
      copy_async_8(shared + kStatistics + stage * kStatisticsBytes<Tile> + i * 8,
                   head.statistics + (inside ? inner + i : 0), inside);
    }
    copy_async_commit();
  };
  const std::int64_t head_index = blockIdx.x;
  const HeadDropout dropout = head_dropout(op.dropout, head_index, op.length);
  const int begin_inner = kKeys ? first : 0;
  const int end = kKeys ? op.length : min(first + kOuterRows, op.length);
  copy_stage(0, begin_inner);  // a multiple of two tiles
  for (int inner = begin_inner; inner < end; inner += kInnerRows) {
    // The stage is there for all warps, and all have read the other one, which is filled again.
    copy_async_wait<0>();
    __syncthreads();
    const int stage = inner / kInnerRows % 2;
    if (inner + kInnerRows < end) copy_stage(stage ^ 1, inner + kInnerRows);
    const std::uint32_t tiles = shared + stage * kStage;
    const auto* statistics =
        reinterpret_cast<const float4*>(memory + kStatistics + stage * kStatisticsBytes<Tile>);
    const bool masked = kKeys ? inner < first + kOuterRows : inner >= first;
    if (masked) {
      visit_tile<T, Tile, kKeys, true, kDropout>(warp, tiles, inner, statistics, op.scale_log2,
                                                 dropout);
    } else {
      visit_tile<T, Tile, kKeys, false, kDropout>(warp, tiles, inner, statistics, op.scale_log2,
                                                  dropout);
    }
  }
  __syncthreads();

  float scale[Tile::kMatrices][2], one[Tile::kMatrices][2];
#pragma unroll
  for (int m = 0; m < Tile::kMatrices; ++m) {
    scale[m][0] = scale[m][1] = op.scale;
    one[m][0] = one[m][1] = 1.0f;
  }
  std::uint8_t* own = memory + thread_index_here() / kWarp * (Tile::kOuterBytes / Tile::kWarps);
  store_rows<T, Tile>(warp.d_first, scale, own, head.d_first, warp.outer, op.length, op.head_width);
  if constexpr (kKeys) {
    store_rows<T, Tile>(warp.d_second, one, own + kStage, head.d_second, warp.outer, op.length,
                        op.head_width);
  }
}

template <class T, int kColumns, bool kKeys, bool kDropout>
void launch(ExecutionContext& ctx, const Operands<T>& operands, const AttentionShape& shape) {
  using Tile = TileShape<kColumns, kDropout>;
  const dim3 blocks(static_cast<unsigned>(shape.sequences * shape.heads),
                    static_cast<unsigned>((shape.length + kOuterRows - 1) / kOuterRows));
  const auto kernel = attention_backward_tiles<T, Tile, kKeys, kDropout>;
  constexpr int kBytes = kSharedBytes<Tile>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
  kernel<<<blocks, Tile::kThreads, kBytes, stream_of(ctx)>>>(operands);
  check_launch(kKeys ? "attention_backward (d_k, d_v)" : "attention_backward (d_q)");
}

template <class T, int kColumns, bool kDropout>
void launch_both(ExecutionContext& ctx, const Operands<T>& operands, const AttentionShape& shape) {
  launch<T, kColumns, true, kDropout>(ctx, operands, shape);
  launch<T, kColumns, false, kDropout>(ctx, operands, shape);
}

template <class T>
void backward(ExecutionContext& ctx, const AttentionGradient& op, const AttentionShape& shape,
              const AttentionRowStatistics* statistics) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(shape.head_width));
  const Operands<T> operands{.d_out = static_cast<const T*>(op.d_out.raw()),
                             .qkv = static_cast<const T*>(op.qkv.raw()),
                             .statistics = statistics,
                             .d_qkv = static_cast<T*>(op.d_qkv.raw()),
                             .length = static_cast<int>(shape.length),
                             .heads = static_cast<int>(shape.heads),
                             .head_width = static_cast<int>(shape.head_width),
                             .scale = scale,
                             .scale_log2 = scale * kLog2E,
                             .dropout = op.dropout.value_or(DropoutMask{})};
  if (shape.head_width <= 64) {
    op.dropout ? launch_both<T, 64, true>(ctx, operands, shape)
               : launch_both<T, 64, false>(ctx, operands, shape);
  } else {
    op.dropout ? launch_both<T, 128, true>(ctx, operands, shape)
               : launch_both<T, 128, false>(ctx, operands, shape);
  }
}

}  // namespace

void attention_backward_mma(ExecutionContext& ctx, const AttentionGradient& op,
                            const AttentionShape& shape, const AttentionRowStatistics* statistics) {
  op.qkv.dtype() == DType::kBfloat16 ? backward<__nv_bfloat16>(ctx, op, shape, statistics)
                                     : backward<__half>(ctx, op, shape, statistics);
}

}  // namespace ovid::kernels::cuda
