#pragma once

#include <cstdint>
#include <numbers>

#include "kernels/attention/attention_cuda_sm90_gradient.cuh"

// d_q of a tile of 128 queries, (7) to (9) of docs/math/attention.md, with P computed again:
//   delta_i = d_out_i . out_i, dS_ij = P_ij (d_out_i . v_j - delta_i), d_q_i = sum_j dS_ij k_j / 8
// A warp group owns 64 rows, whose q and d_out it keeps in registers; keys and values pass by in
// units of 64 up to its diagonal. Leaves log_sum_exp and delta to the kernel of the keys.
namespace ovid::kernels::cuda::sm90 {

// Shared memory: Q, d_out and out of a tile; K and V of kStages units; d_q; barriers.
struct QueryLayout {
  static constexpr int kStages = 6;
  static constexpr int kTileBytes = kPanelBytes, kUnitBytes = 2 * kHalfBytes;
  static constexpr int kUnits = 3 * kTileBytes;
  static constexpr int kOut = kUnits + kStages * kUnitBytes;
  static constexpr int kTileFull = kOut + kTileBytes, kTileEmpty = kTileFull + 8;
  static constexpr int kFull = kTileEmpty + 8, kEmpty = kFull + 8 * kStages;
  static constexpr int kBytes = kEmpty + 8 * kStages + 1024;
};

__device__ __forceinline__ void copy_for_queries(const GradientMaps& maps, const Work& work,
                                                 std::uint32_t shared) {
  using L = QueryLayout;
  const int C = work.H * kWidth;
  Place<1> tile;
  Place<L::kStages> unit;
  for_each_item(work, [&](Item item) {
    const int sequence = item.head / work.H, column = item.head % work.H * kWidth;
    barrier_wait(shared + L::kTileEmpty, tile.parity ^ 1);
    barrier_arrive_expect(shared + L::kTileFull, 3 * L::kTileBytes);
    copy_tile(maps.qkv, shared, shared + L::kTileFull, column, item.tile, sequence);
    copy_tile(maps.d_out, shared + L::kTileBytes, shared + L::kTileFull, column, item.tile,
              sequence);
    copy_tile(maps.out, shared + 2 * L::kTileBytes, shared + L::kTileFull, column, item.tile,
              sequence);
    tile.advance();
    for (int i = 0; i < 2 * item.tile + 2; ++i) {
      const std::uint32_t full = shared + L::kFull + 8 * unit.at;
      const std::uint32_t to = shared + L::kUnits + unit.at * L::kUnitBytes;
      barrier_wait(shared + L::kEmpty + 8 * unit.at, unit.parity ^ 1);
      barrier_arrive_expect(full, L::kUnitBytes);
      copy_box_to_shared(to, maps.qkv, full, C + column, i * kUnitRows, sequence);
      copy_box_to_shared(to + kHalfBytes, maps.qkv, full, 2 * C + column, i * kUnitRows, sequence);
      unit.advance();
    }
  });
}

template <class T, int kGroup>
class QueryGradient {
  using L = QueryLayout;

 public:
  __device__ __forceinline__ QueryGradient(const GradientMaps& maps, const float* log_sum_exp,
                                           float* statistics, const Work& work,
                                           std::uint32_t shared)
      : maps_(maps),
        log_sum_exp_(log_sum_exp),
        statistics_(statistics),
        work_(work),
        shared_(shared) {}

  __device__ __forceinline__ void multiply_items() {
    for_each_item(work_, [&](Item item) { multiply_item(item); });
    if (threadIdx.x % kWarpGroup == 0) copies_wait();
  }

 private:
  // Of the thread's two rows.
  struct Rows {
    std::uint32_t q[16], d_out[16];  // as A operands
    float shift[2];                  // log_sum_exp / ln 2
    float delta[2];
  };

  __device__ __forceinline__ void multiply_item(Item item) {
    Rows rows;
    load_rows(rows, item);
    float d_q[32] = {};
    std::uint32_t packed[16];
    const int diagonal = 2 * item.tile + kGroup;
    int before = -1;  // the unit whose products may still run
    for (int i = 0; i < diagonal; ++i) before = multiply_unit<false>(d_q, packed, rows, before);
    before = multiply_unit<true>(d_q, packed, rows, before);
    products_wait<0>();
    keep_order<0>(d_q);
    release(before);
    if constexpr (kGroup == 0) {  // the unit that only the other group's rows see
      barrier_wait(shared_ + L::kFull + 8 * unit_.at, unit_.parity);
      release(unit_.at);
      unit_.advance();
    }
    const float scales[2] = {work_.scale, work_.scale};
    scale_rows(d_q, scales);
    store_gradient<T, kGroup>(d_q, maps_.d_qkv, shared_ + L::kOut + kGroup * kHalfBytes,
                              item.head % work_.H * kWidth, item.tile * kTileRows + kGroup * 64,
                              item.head / work_.H, work_.T);
  }

  // dS of one unit, and its product with the keys, which is left running. Returns the unit's place.
  template <bool kDiagonal>
  __device__ __forceinline__ int multiply_unit(float (&d_q)[32], std::uint32_t (&packed)[16],
                                               const Rows& rows, int before) {
    float scores[32] = {}, d_p[32] = {};
    barrier_wait(shared_ + L::kFull + 8 * unit_.at, unit_.parity);
    const std::uint32_t keys = shared_ + L::kUnits + unit_.at * L::kUnitBytes;
    products_fence();
    multiply_rows<T>(scores, rows.q, keys);
    products_commit();
    multiply_rows<T>(d_p, rows.d_out, keys + kHalfBytes);
    products_commit();
    products_wait<1>();
    keep_order<0>(scores);
    if (before >= 0) release(before);
    if constexpr (kDiagonal) mask_unit<true>(scores);
#pragma unroll
    for (int i = 0; i < 32; ++i) {
      scores[i] = exp2_approximate(fmaf(scores[i], work_.scale_log2, -rows.shift[i / 2 % 2]));
    }
    products_wait<0>();
    keep_order<0>(d_p);
#pragma unroll
    for (int i = 0; i < 32; ++i) scores[i] *= d_p[i] - rows.delta[i / 2 % 2];
    pack_unit<T>(scores, packed);
    products_fence();
    multiply_unit_columns<T>(d_q, packed, keys);
    products_commit();
    const int place = unit_.at;
    unit_.advance();
    return place;
  }

  // The item's rows into registers; log_sum_exp / ln 2 and delta also to `statistics`.
  __device__ __forceinline__ void load_rows(Rows& rows, Item item) {
    const int thread = static_cast<int>(threadIdx.x) % kWarpGroup, lane = thread % kWarp;
    const std::uint32_t first = shared_ + kGroup * kHalfBytes;
    float delta[2] = {0.0f, 0.0f};
    barrier_wait(shared_ + L::kTileFull, tile_.parity);
#pragma unroll
    for (int pair = 0; pair < 4; ++pair) {
      std::uint32_t out[4];
      load_matrices(matrices_at(first, pair), rows.q + 4 * pair);
      load_matrices(matrices_at(first + L::kTileBytes, pair), rows.d_out + 4 * pair);
      load_matrices(matrices_at(first + 2 * L::kTileBytes, pair), out);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        delta[i % 2] = add_dot<T>(delta[i % 2], rows.d_out[4 * pair + i], out[i]);
      }
    }
    __syncwarp();
    if (lane == 0) barrier_arrive(shared_ + L::kTileEmpty);
    tile_.advance();
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      delta[r] += __shfl_xor_sync(kAllLanes, delta[r], 1);
      delta[r] += __shfl_xor_sync(kAllLanes, delta[r], 2);
      rows.delta[r] = delta[r];
      const int of_group = thread / kWarp * 16 + lane / 4 + 8 * r;
      const int row = item.tile * kTileRows + kGroup * 64 + of_group;
      // Rows after the last have no P.
      rows.shift[r] = -Max::identity();
      if (row < work_.T) {
        rows.shift[r] = log_sum_exp_[static_cast<std::int64_t>(item.head) * work_.T + row] *
                        std::numbers::log2e_v<float>;
      }
      if (lane % 4 == 0) {
        float* unit = statistics_ + statistics_at(work_, item.head, 2 * item.tile + kGroup);
        unit[of_group] = rows.shift[r];
        unit[kUnitRows + of_group] = delta[r];
      }
    }
  }

  __device__ __forceinline__ void release(int at) const {
    if (threadIdx.x % kWarp == 0) barrier_arrive(shared_ + L::kEmpty + 8 * at);
  }

  const GradientMaps& maps_;
  const float* const log_sum_exp_;  // (B, H, T)
  float* const statistics_;
  const Work& work_;
  const std::uint32_t shared_;
  Place<1> tile_;
  Place<L::kStages> unit_;
};

}  // namespace ovid::kernels::cuda::sm90
