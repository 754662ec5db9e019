#pragma once

#include <cstdint>

#include "kernels/attention/attention_cuda_sm90_gradient.cuh"

// d_k and d_v of a tile of 128 keys, (5), (8) and (10) of docs/math/attention.md, with P and dS
// transposed, so that they are in place for the products that use them:
//   d_v_j = sum_i P_ij d_out_i, dS_ij = P_ij (v_j . d_out_i - delta_i), d_k_j = sum_i dS_ij q_i / 8
// A warp group owns 64 keys, whose k and v it keeps in registers; queries and d_out pass by in
// units of 64 from its diagonal on.
namespace ovid::kernels::cuda::sm90 {

// Shared memory: K and V of a tile; Q, d_out and statistics of kStages units; d_k, d_v; barriers.
struct KeyLayout {
  static constexpr int kStages = 6;
  static constexpr int kTileBytes = kPanelBytes;
  static constexpr int kStatisticsBytes = 4 * kUnitStatistics;
  static constexpr int kCopiedBytes = 2 * kHalfBytes + kStatisticsBytes;
  static constexpr int kUnitBytes = 2 * kHalfBytes + 1024;
  static constexpr int kUnits = 2 * kTileBytes;
  static constexpr int kOut = kUnits + kStages * kUnitBytes;
  static constexpr int kTileFull = kOut + 2 * kTileBytes, kTileEmpty = kTileFull + 8;
  static constexpr int kFull = kTileEmpty + 8, kEmpty = kFull + 8 * kStages;
  static constexpr int kBytes = kEmpty + 8 * kStages + 1024;
};

// Units of queries of a head.
__device__ __forceinline__ int units_of(const Work& work) {
  return (work.T + kUnitRows - 1) / kUnitRows;
}
// The first tiles of keys are seen by the most queries; items come with the last tile first.
__device__ __forceinline__ int key_tile(const Work& work, Item item) {
  return work.tiles - 1 - item.tile;
}

__device__ __forceinline__ void copy_for_keys(const GradientMaps& maps, const float* statistics,
                                              const Work& work, std::uint32_t shared) {
  using L = KeyLayout;
  const int C = work.H * kWidth;
  Place<1> place;
  Place<L::kStages> unit;
  for_each_item(work, [&](Item item) {
    const int sequence = item.head / work.H, column = item.head % work.H * kWidth;
    const int tile = key_tile(work, item);
    barrier_wait(shared + L::kTileEmpty, place.parity ^ 1);
    barrier_arrive_expect(shared + L::kTileFull, 2 * L::kTileBytes);
    copy_tile(maps.qkv, shared, shared + L::kTileFull, C + column, tile, sequence);
    copy_tile(maps.qkv, shared + L::kTileBytes, shared + L::kTileFull, 2 * C + column, tile,
              sequence);
    place.advance();
    for (int i = 2 * tile; i < units_of(work); ++i) {
      const std::uint32_t full = shared + L::kFull + 8 * unit.at;
      const std::uint32_t to = shared + L::kUnits + unit.at * L::kUnitBytes;
      barrier_wait(shared + L::kEmpty + 8 * unit.at, unit.parity ^ 1);
      barrier_arrive_expect(full, L::kCopiedBytes);
      copy_box_to_shared(to, maps.qkv, full, column, i * kUnitRows, sequence);
      copy_box_to_shared(to + kHalfBytes, maps.d_out, full, column, i * kUnitRows, sequence);
      copy_bytes_to_shared(to + 2 * kHalfBytes, statistics + statistics_at(work, item.head, i),
                           full, L::kStatisticsBytes);
      unit.advance();
    }
  });
}

template <class T, int kGroup>
class KeyGradient {
  using L = KeyLayout;

 public:
  __device__ __forceinline__ KeyGradient(const GradientMaps& maps, const Work& work,
                                         std::uint32_t shared)
      : maps_(maps), work_(work), shared_(shared) {}

  __device__ __forceinline__ void multiply_items() {
    for_each_item(work_, [&](Item item) { multiply_item(item); });
    if (threadIdx.x % kWarpGroup == 0) copies_wait();
  }

 private:
  struct Rows {
    std::uint32_t k[16], v[16];  // as A operands
  };

  __device__ __forceinline__ void multiply_item(Item item) {
    const int tile = key_tile(work_, item);
    Rows rows;
    load_rows(rows);
    float d_k[32] = {}, d_v[32] = {};
    std::uint32_t p[16], d_s[16];
    int i = 2 * tile, before = -1;
    if constexpr (kGroup == 1) {  // queries before all of the group's keys
      barrier_wait(shared_ + L::kFull + 8 * unit_.at, unit_.parity);
      release(unit_.at);
      unit_.advance();
      ++i;
    }
    if (i < units_of(work_)) {
      before = multiply_unit<true>(d_k, d_v, p, d_s, rows, before);
      while (++i < units_of(work_)) {
        before = multiply_unit<false>(d_k, d_v, p, d_s, rows, before);
      }
      products_wait<0>();
      release(before);
    }
    keep_order<0>(d_k);
    keep_order<0>(d_v);
    const float scales[2] = {work_.scale, work_.scale};
    scale_rows(d_k, scales);
    const int C = work_.H * kWidth, column = item.head % work_.H * kWidth;
    const int first_row = tile * kTileRows + kGroup * 64, sequence = item.head / work_.H;
    const std::uint32_t box = shared_ + L::kOut + kGroup * kHalfBytes;
    store_gradient<T, kGroup>(d_k, maps_.d_qkv, box, C + column, first_row, sequence, work_.T);
    store_gradient<T, kGroup>(d_v, maps_.d_qkv, box + L::kTileBytes, 2 * C + column, first_row,
                              sequence, work_.T);
  }

  // The sums of one unit, whose last products are left running. Returns the unit's place.
  template <bool kDiagonal>
  __device__ __forceinline__ int multiply_unit(float (&d_k)[32], float (&d_v)[32],
                                               std::uint32_t (&p)[16], std::uint32_t (&d_s)[16],
                                               const Rows& rows, int before) {
    float scores[32] = {}, d_p[32] = {};
    barrier_wait(shared_ + L::kFull + 8 * unit_.at, unit_.parity);
    // Through lane 0, so that the compiler keeps it, and all descriptors, in the warp's own
    // registers.
    const std::uint32_t queries =
        __shfl_sync(kAllLanes, shared_ + L::kUnits + unit_.at * L::kUnitBytes, 0);
    const std::uint32_t d_out = queries + kHalfBytes;
    // Of columns 8 i + 2 (l % 4) and one more.
    const std::uint32_t shifts = d_out + kHalfBytes + threadIdx.x % 4 * 8;
    const std::uint32_t deltas = shifts + 4 * kUnitRows;
    products_fence();
    multiply_rows<T>(scores, rows.k, queries);
    products_commit();
    multiply_rows<T>(d_p, rows.v, d_out);
    products_commit();
    products_wait<1>();
    keep_order<0>(scores);
    if (before >= 0) release(before);
    if constexpr (kDiagonal) mask_unit<false>(scores);
#pragma unroll
    for (int i = 0; i < 32; i += 4) {
      const float2 shift = load_floats(shifts + 8 * i);
      scores[i] = exp2_approximate(fmaf(scores[i], work_.scale_log2, -shift.x));
      scores[i + 1] = exp2_approximate(fmaf(scores[i + 1], work_.scale_log2, -shift.y));
      scores[i + 2] = exp2_approximate(fmaf(scores[i + 2], work_.scale_log2, -shift.x));
      scores[i + 3] = exp2_approximate(fmaf(scores[i + 3], work_.scale_log2, -shift.y));
    }
    pack_unit<T>(scores, p);
    products_fence();
    multiply_unit_columns<T>(d_v, p, d_out);
    products_commit();
    products_wait<1>();
    keep_order<0>(d_p);
#pragma unroll
    for (int i = 0; i < 32; i += 4) {
      const float2 delta = load_floats(deltas + 8 * i);
      scores[i] *= d_p[i] - delta.x;
      scores[i + 1] *= d_p[i + 1] - delta.y;
      scores[i + 2] *= d_p[i + 2] - delta.x;
      scores[i + 3] *= d_p[i + 3] - delta.y;
    }
    pack_unit<T>(scores, d_s);
    products_fence();
    multiply_unit_columns<T>(d_k, d_s, queries);
    products_commit();
    const int place = unit_.at;
    unit_.advance();
    return place;
  }

  __device__ __forceinline__ void load_rows(Rows& rows) {
    const std::uint32_t first = shared_ + kGroup * kHalfBytes;
    barrier_wait(shared_ + L::kTileFull, tile_.parity);
#pragma unroll
    for (int pair = 0; pair < 4; ++pair) {
      load_matrices(matrices_at(first, pair), rows.k + 4 * pair);
      load_matrices(matrices_at(first + L::kTileBytes, pair), rows.v + 4 * pair);
    }
    __syncwarp();
    if (threadIdx.x % kWarp == 0) barrier_arrive(shared_ + L::kTileEmpty);
    tile_.advance();
  }

  __device__ __forceinline__ void release(int at) const {
    if (threadIdx.x % kWarp == 0) barrier_arrive(shared_ + L::kEmpty + 8 * at);
  }

  const GradientMaps& maps_;
  const Work& work_;
  const std::uint32_t shared_;
  Place<1> tile_;
  Place<L::kStages> unit_;
};

}  // namespace ovid::kernels::cuda::sm90
