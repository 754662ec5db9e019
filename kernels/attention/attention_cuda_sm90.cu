#include "kernels/attention/attention_cuda_sm90.cuh"

#include "kernels/attention/attention_cuda_sm90_items.cuh"
#include "kernels/attention/attention_cuda_sm90_tile.cuh"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device_state.cuh"
#include "kernels/cuda/numeric.cuh"
#include "kernels/cuda/tensor_map.cuh"

// An item is a tile of 128 queries of one head. A block of three warp groups stays on its
// multiprocessor and does item after item: the last group's first thread copies tiles of Q, K and V
// to shared memory, the first two own 64 rows of the tile each. K and V come from the diagonal
// leftwards, so that only an item's first tile is masked; there each group multiplies only the keys
// up to its own last row. A group issues Q K^T of one tile and P V of the tile before, and computes
// the softmax of the first while the second still runs; named barriers make the two groups take
// turns, so that one's softmax runs beside the other's products.
namespace ovid::kernels::cuda {

// Not without a name: a build for other architectures has no use of these, and would warn.
namespace sm90 {

// Shared memory, all parts 1,024-byte aligned: Q twice, K and V kStages times, O, then barriers.
template <int D>
struct Layout {
  static constexpr int kStages = D == 64 ? 3 : 2;
  static constexpr int kTileBytes = kTileRows * D * 2;
  static constexpr int kKeys = 2 * kTileBytes;
  static constexpr int kValues = kKeys + kStages * kTileBytes;
  static constexpr int kOut = kValues + kStages * kTileBytes;
  static constexpr int kBarriers = kOut + kTileBytes;
  static constexpr int kQueryFull = kBarriers, kQueryEmpty = kQueryFull + 16;
  static constexpr int kKeyFull = kQueryEmpty + 16, kKeyEmpty = kKeyFull + 8 * kStages;
  static constexpr int kValueFull = kKeyEmpty + 8 * kStages;
  static constexpr int kValueEmpty = kValueFull + 8 * kStages;
  static constexpr int kEnd = kValueEmpty + 8 * kStages;
  static constexpr int kBytes = kEnd + 1024;  // the block's memory may begin anywhere
};

// One thread: Q, then K and V in the order in which they are needed.
template <int D>
__device__ __forceinline__ void copy_tiles(const CUtensorMap& qkv, const Work& work,
                                           std::uint32_t shared) {
  using L = Layout<D>;
  const int C = work.H * D;
  Place<2> query;
  Place<L::kStages> key, value;
  const auto copy = [&](std::uint32_t to, std::uint32_t full, int column, int tile, int sequence) {
    barrier_arrive_expect(full, L::kTileBytes);
#pragma unroll
    for (int panel = 0; panel < D / 64; ++panel) {
      copy_box_to_shared(to + panel * kPanelBytes, qkv, full, column + panel * 64, tile * kTileKeys,
                         sequence);
    }
  };
  for_each_item(work, [&](Item item) {
    const int sequence = item.head / work.H, column = item.head % work.H * D;
    const auto copy_keys = [&](int tile) {
      barrier_wait(shared + L::kKeyEmpty + 8 * key.at, key.parity ^ 1);
      copy(shared + L::kKeys + key.at * L::kTileBytes, shared + L::kKeyFull + 8 * key.at,
           C + column, tile, sequence);
      key.advance();
    };
    const auto copy_values = [&](int tile) {
      barrier_wait(shared + L::kValueEmpty + 8 * value.at, value.parity ^ 1);
      copy(shared + L::kValues + value.at * L::kTileBytes, shared + L::kValueFull + 8 * value.at,
           2 * C + column, tile, sequence);
      value.advance();
    };
    barrier_wait(shared + L::kQueryEmpty + 8 * query.at, query.parity ^ 1);
    copy(shared + query.at * L::kTileBytes, shared + L::kQueryFull + 8 * query.at, column,
         item.tile, sequence);
    query.advance();
    copy_keys(item.tile);
    for (int tile = item.tile - 1; tile >= 0; --tile) {
      copy_keys(tile);
      copy_values(tile + 1);
    }
    copy_values(0);
  });
}

// A warp group, 0 or 1, and its 64 rows of the block's items. The two groups' code differs in which
// keys of the diagonal tile they multiply; each is compiled for itself, since a branch around
// products in flight makes the compiler wait for them.
template <class T, int D, int kGroup>
class RowGroup {
  using L = Layout<D>;
  // Of the diagonal tile's keys the first group sees the lower 64, the second all. Those on the
  // diagonal are the scores' upper half.
  static constexpr bool kDiagonalLower = kGroup == 1;
  static constexpr int kDiagonalBegin = kGroup == 1 ? 0 : 32;

 public:
  __device__ __forceinline__ RowGroup(const CUtensorMap& out_map, float* log_sum_exp,
                                      const Work& work, std::uint32_t shared)
      : out_map_(out_map), log_sum_exp_(log_sum_exp), work_(work), shared_(shared) {}

  __device__ __forceinline__ void multiply_items() {
    if constexpr (kGroup == 1) named_barrier_arrive(kTurnBarrier, 2 * kWarpGroup);
    multiply_all();
    // The other group's last arrival; then no copy may outlive the block's memory.
    if constexpr (kGroup == 0) named_barrier_sync(kTurnBarrier, 2 * kWarpGroup);
    if (threadIdx.x % kWarpGroup == 0) copies_wait();
  }

 private:
  // Where an item ends and another begins, the first products of the one run beside the last of the
  // other.
  __device__ __forceinline__ void multiply_all() {
    Items items(work_);
    Item item, next;
    if (!items.next(item)) return;
    float out[D / 2] = {};
    std::uint32_t packed[32];
    RowState state;
    multiply_diagonal(packed, state);
    for (;;) {
      const bool more = items.next(next);
      bool across = false;
      if (item.tile == 0) {
        release(L::kQueryEmpty, query_.at);
        query_.advance();
        multiply_last<kDiagonalLower>(out, packed);
      } else {
        multiply_next<kDiagonalLower>(out, packed, state);
        for (int tile = item.tile - 1; tile > 0; --tile) multiply_next<true>(out, packed, state);
        release(L::kQueryEmpty, query_.at);
        query_.advance();
        // With 128 columns the registers do not suffice.
        across = D == 64 && more;
        if (across) {
          multiply_across(out, packed, state, item);
        } else {
          multiply_last<true>(out, packed);
        }
      }
      if (!across) {
        finish(out, state, item);
        if (more) multiply_diagonal(packed, state);
      }
      if (!more) return;
#pragma unroll
      for (int i = 0; i < D / 2; ++i) out[i] = 0.0f;
      item = next;
    }
  }

  // S and P of the item's first tile, the diagonal one.
  __device__ __forceinline__ void multiply_diagonal(std::uint32_t (&packed)[32], RowState& state) {
    // Without the zeros, which no product reads, the compiler finds no registers for the products
    // and serialises them (C7511 of ptxas 13.0).
    float scores[64] = {}, none[2];
    barrier_wait(shared_ + L::kQueryFull + 8 * query_.at, query_.parity);
    const std::uint32_t keys = wait_keys();
    products_fence();
    multiply_scores<T, D, kGroup == 0 ? 64 : 128>(scores + kDiagonalBegin, queries(), keys);
    products_commit();
    products_wait<0>();
    keep_order<kDiagonalBegin>(scores);
    release(L::kKeyEmpty, key_.at);
    key_.advance();
    mask_diagonal(scores);
    softmax<true, kDiagonalBegin>(scores, state, none, work_.scale_log2);
    pack_probabilities<T, kDiagonalBegin>(scores, packed);
  }

  // multiply_diagonal of the next item beside multiply_last of `item`, whose rows it finishes.
  __device__ __forceinline__ void multiply_across(float (&out)[D / 2], std::uint32_t (&packed)[32],
                                                  RowState& state, Item item) {
    float scores[64] = {}, none[2];
    RowState next;
    barrier_wait(shared_ + L::kQueryFull + 8 * query_.at, query_.parity);
    const std::uint32_t keys = wait_keys();
    named_barrier_sync(kTurnBarrier + kGroup, 2 * kWarpGroup);
    products_fence();
    multiply_scores<T, D, kGroup == 0 ? 64 : 128>(scores + kDiagonalBegin, queries(), keys);
    products_commit();
    multiply_probabilities<true>(out, packed);
    named_barrier_arrive(kTurnBarrier + 1 - kGroup, 2 * kWarpGroup);
    products_wait<1>();
    keep_order<kDiagonalBegin>(scores);
    release(L::kKeyEmpty, key_.at);
    key_.advance();
    mask_diagonal(scores);
    softmax<true, kDiagonalBegin>(scores, next, none, work_.scale_log2);
    if constexpr (D == 64) keep_before_wait(fminf(next.sum[0], next.sum[1]) < 0.0f);
    products_wait<0>();
    keep_order<0>(out);
    release(L::kValueEmpty, value_.at);
    value_.advance();
    finish(out, state, item);
    pack_probabilities<T, kDiagonalBegin>(scores, packed);
    state = next;
  }

  // S of the next tile beside P V of the one before; then P of the next.
  template <bool kLower>
  __device__ __forceinline__ void multiply_next(float (&out)[D / 2], std::uint32_t (&packed)[32],
                                                RowState& state) {
    float scores[64], shrink[2];
    const std::uint32_t keys = wait_keys();
    named_barrier_sync(kTurnBarrier + kGroup, 2 * kWarpGroup);
    products_fence();
    multiply_scores<T, D, 128>(scores, queries(), keys);
    products_commit();
    multiply_probabilities<kLower>(out, packed);
    named_barrier_arrive(kTurnBarrier + 1 - kGroup, 2 * kWarpGroup);
    products_wait<1>();
    keep_order<0>(scores);
    release(L::kKeyEmpty, key_.at);
    key_.advance();
    softmax<false, 0>(scores, state, shrink, work_.scale_log2);
    // With 128 columns the registers do not suffice.
    if constexpr (D == 64) keep_before_wait(fminf(state.sum[0], state.sum[1]) < 0.0f);
    products_wait<0>();
    keep_order<0>(out);
    release(L::kValueEmpty, value_.at);
    value_.advance();
    scale_rows(out, shrink);
    pack_probabilities<T, 0>(scores, packed);
  }

  template <bool kLower>
  __device__ __forceinline__ void multiply_last(float (&out)[D / 2], std::uint32_t (&packed)[32]) {
    multiply_probabilities<kLower>(out, packed);
    products_wait<0>();
    keep_order<0>(out);
    release(L::kValueEmpty, value_.at);
    value_.advance();
  }

  // out += P V, enqueued; without kLower, P's upper half belongs to the tile's first 64 keys.
  template <bool kLower>
  __device__ __forceinline__ void multiply_probabilities(float (&out)[D / 2],
                                                         std::uint32_t (&packed)[32]) {
    barrier_wait(shared_ + L::kValueFull + 8 * value_.at, value_.parity);
    const std::uint32_t values = shared_ + L::kValues + value_.at * L::kTileBytes;
    products_fence();
    if constexpr (kLower) multiply_values<T, D>(out, packed, values);
    multiply_values<T, D>(out, packed + 16, values + (kLower ? kHalfBytes : 0));
    products_commit();
  }

  // The rows to global memory: O through shared memory and the copy engine, log_sum_exp by the
  // first of each row's four lanes.
  __device__ __forceinline__ void finish(float (&out)[D / 2], const RowState& state, Item item) {
    const int thread = static_cast<int>(threadIdx.x) % kWarpGroup, lane = thread % kWarp;
    const int first_row = item.tile * kTileRows + kGroup * 64;
    float inverse[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float sum = state.sum[r];
      sum += __shfl_xor_sync(kAllLanes, sum, 1);
      sum += __shfl_xor_sync(kAllLanes, sum, 2);
      inverse[r] = 1.0f / sum;
      const int row = first_row + thread / kWarp * 16 + lane / 4 + 8 * r;
      if (lane % 4 == 0 && row < work_.T) {
        log_sum_exp_[static_cast<std::int64_t>(item.head) * work_.T + row] =
            fmaf(state.largest[r], work_.scale, logf(sum));
      }
    }
    scale_rows(out, inverse);
    const std::uint32_t box = shared_ + L::kOut + kGroup * (L::kTileBytes / 2);
    if (thread == 0) copies_wait_read();  // of the item before
    named_barrier_sync(kGroupBarrier + kGroup, kWarpGroup);
    store_rows<T, D>(out, box);
    async_proxy_fence();
    named_barrier_sync(kGroupBarrier + kGroup, kWarpGroup);
    if (thread != 0 || first_row >= work_.T) return;
#pragma unroll
    for (int panel = 0; panel < D / 64; ++panel) {
      copy_box_to_global(out_map_, box + panel * kHalfBytes, item.head % work_.H * D + panel * 64,
                         first_row, item.head / work_.H);
    }
    copies_commit();
  }

  __device__ __forceinline__ std::uint32_t queries() const {
    return shared_ + query_.at * L::kTileBytes + kGroup * kHalfBytes;
  }
  __device__ __forceinline__ std::uint32_t wait_keys() const {
    barrier_wait(shared_ + L::kKeyFull + 8 * key_.at, key_.parity);
    return shared_ + L::kKeys + key_.at * L::kTileBytes;
  }
  // The warp has read the buffer for the last time.
  __device__ __forceinline__ void release(int empty, int at) const {
    if (threadIdx.x % kWarp == 0) barrier_arrive(shared_ + empty + 8 * at);
  }

  const CUtensorMap& out_map_;
  float* const log_sum_exp_;  // (B, H, T)
  const Work& work_;
  const std::uint32_t shared_;
  Place<2> query_;
  Place<L::kStages> key_, value_;
};

template <class T, int D>
__global__ void __launch_bounds__(kThreads, 1)
    attention_forward_kernel(const __grid_constant__ CUtensorMap qkv,
                             const __grid_constant__ CUtensorMap out, float* log_sum_exp,
                             const Work work) {
#if OVID_CODE_FOR_SM90A
  using L = Layout<D>;
  extern __shared__ std::uint8_t memory[];
  const std::uint32_t shared = (shared_address(memory) + 1023) & ~1023u;
  if (threadIdx.x == 0) {
    for (int i = 0; i < 2; ++i) {
      barrier_init(shared + L::kQueryFull + 8 * i, 1);
      barrier_init(shared + L::kQueryEmpty + 8 * i, kWarpsOfGroups);
    }
    for (int i = 0; i < L::kStages; ++i) {
      barrier_init(shared + L::kKeyFull + 8 * i, 1);
      barrier_init(shared + L::kKeyEmpty + 8 * i, kWarpsOfGroups);
      barrier_init(shared + L::kValueFull + 8 * i, 1);
      barrier_init(shared + L::kValueEmpty + 8 * i, kWarpsOfGroups);
    }
    barrier_init_fence();
  }
  __syncthreads();
  // Through lane 0, so that the compiler knows it to be the same for the warp.
  const int group = __shfl_sync(kAllLanes, static_cast<int>(threadIdx.x) / kWarpGroup, 0);
  if (group == 2) {
    registers_decrease<kCopyRegisters>();
    if (threadIdx.x == 2 * kWarpGroup) copy_tiles<D>(qkv, work, shared);
  } else {
    registers_increase<kMultiplyRegisters>();
    if (group == 0) {
      RowGroup<T, D, 0>(out, log_sum_exp, work, shared).multiply_items();
    } else {
      RowGroup<T, D, 1>(out, log_sum_exp, work, shared).multiply_items();
    }
  }
#else
  __trap();
#endif
}

}  // namespace sm90

namespace {

using namespace sm90;

template <class T, int D>
void launch(ExecutionContext& ctx, const Attention& op, const AttentionShape& shape) {
  const Work work = work_of(shape);
  const CUtensorMap qkv = make_tensor_map(op.qkv, kTileKeys);
  const CUtensorMap out = make_tensor_map(op.out, kTileRows / 2);
  constexpr int kBytes = Layout<D>::kBytes;
  check(cudaFuncSetAttribute(attention_forward_kernel<T, D>,
                             cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
  attention_forward_kernel<T, D><<<blocks_of(ctx, work), kThreads, kBytes, stream_of(ctx)>>>(
      qkv, out, op.log_sum_exp.data<float>(), work);
  check_launch("attention_forward_sm90");
}

}  // namespace

bool attention_forward_sm90_takes(ExecutionContext& ctx, const Attention& op,
                                  const AttentionShape& shape) {
  return !op.dropout && takes(ctx, op.qkv, shape) && tensor_map_takes(op.out);
}

void attention_forward_sm90(ExecutionContext& ctx, const Attention& op,
                            const AttentionShape& shape) {
  const bool bfloat16 = op.qkv.dtype() == DType::kBfloat16;
  if (shape.head_width == 64) {
    bfloat16 ? launch<__nv_bfloat16, 64>(ctx, op, shape) : launch<__half, 64>(ctx, op, shape);
  } else {
    bfloat16 ? launch<__nv_bfloat16, 128>(ctx, op, shape) : launch<__half, 128>(ctx, op, shape);
  }
}

}  // namespace ovid::kernels::cuda
