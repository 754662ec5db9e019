#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>

#include "kernels/attention/attention.h"
#include "kernels/cuda/device_state.cuh"
#include "kernels/cuda/hopper.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/tensor_map.cuh"

// What attention's kernels for sm_90a share: blocks of three warp groups that stay on their
// multiprocessors, two that multiply and one that copies, and the items that they work on. An item
// is a tile of 128 rows of one head.
namespace ovid::kernels::cuda::sm90 {

inline constexpr int kTileRows = 128;  // queries of a block's tile, 64 for each warp group
inline constexpr int kTileKeys = 128;  // keys and values of a tile
inline constexpr int kPanelBytes = kTileRows * 128;  // 64 columns of a tile
inline constexpr int kHalfBytes = kPanelBytes / 2;   // 64 rows of a panel
inline constexpr int kStepBytes = 16 * 128;          // 16 rows of a panel

inline constexpr int kThreads = 3 * kWarpGroup;
inline constexpr int kWarpsOfGroups = 2 * kWarpGroup / kWarp;  // that multiply
inline constexpr int kTurnBarrier = 1;                         // and 2: of the two groups
inline constexpr int kGroupBarrier = 3;                        // and 4
// 65,536 registers: 128 x (24 + 240 + 240) = 64,512.
inline constexpr int kCopyRegisters = 24, kMultiplyRegisters = 240;
// K and V of the heads that are worked on side by side stay in the second cache (50 MB).
inline constexpr std::int64_t kCacheBytes = std::int64_t{24} << 20;

struct Work {
  int T, H;
  int heads;         // B H
  int tiles;         // of a head
  int group;         // heads that are worked on side by side
  int items;         // heads x tiles
  float scale;       // 1 / sqrt(D)
  float scale_log2;  // scale / ln 2
};

struct Item {
  int head, tile;
};

// Items by groups of heads, in a group the longest rows first.
__device__ __forceinline__ Item item_at(const Work& work, int index) {
  const int of_group = work.group * work.tiles;
  const int first_head = index / of_group * work.group;
  const int heads = min(work.group, work.heads - first_head);
  const int rest = index % of_group;
  return {first_head + rest % heads, work.tiles - 1 - rest / heads};
}

// The block's items, one after the other. Each round gives every block one, in turn from the first
// and from the last block, which evens out that lengths decrease.
class Items {
 public:
  __device__ __forceinline__ explicit Items(const Work& work) : work_(work) {}

  // False after the last.
  __device__ __forceinline__ bool next(Item& item) {
    const int blocks = static_cast<int>(gridDim.x), block = static_cast<int>(blockIdx.x);
    const int index = first_ + (backwards_ ? blocks - 1 - block : block);
    if (index >= work_.items) return false;  // all later rounds are beyond the last item too
    first_ += blocks;
    backwards_ = !backwards_;
    item = item_at(work_, index);
    return true;
  }

 private:
  const Work& work_;
  int first_ = 0;
  bool backwards_ = false;
};

template <class Visit>
__device__ __forceinline__ void for_each_item(const Work& work, Visit visit) {
  Items items(work);
  for (Item item; items.next(item);) visit(item);
}

// A place in a ring of buffers and the parity of its barriers' phase.
template <int kCount>
struct Place {
  int at = 0;
  unsigned parity = 0;
  __device__ __forceinline__ void advance() {
    if (++at == kCount) {
      at = 0;
      parity ^= 1;
    }
  }
};

inline bool compiled_for_sm90() {
  for (const int architecture : {__CUDA_ARCH_LIST__}) {
    if (architecture == 900) return true;
  }
  return false;
}

inline std::int64_t tiles_of(const AttentionShape& shape) {
  return (shape.length + kTileRows - 1) / kTileRows;
}

// What the forward and the backward kernels ask of the device and the shape.
inline bool takes(ExecutionContext& ctx, const ConstView& qkv, const AttentionShape& shape) {
  // Indices of items and of the rows after a head's last tile are ints.
  constexpr std::int64_t kMany = std::numeric_limits<int>::max() / 2;
  return compiled_for_sm90() && state_of(ctx).properties().capability() == 90 &&
         (qkv.dtype() == DType::kBfloat16 || qkv.dtype() == DType::kFloat16) &&
         (shape.head_width == 64 || shape.head_width == 128) && tensor_map_takes(qkv) &&
         shape.sequences > 0 && shape.length > 0 && shape.length < kMany &&
         3 * shape.heads < kMany / shape.head_width &&
         shape.sequences < kMany / shape.heads / tiles_of(shape);
}

// Of a shape that takes() allows.
inline Work work_of(const AttentionShape& shape) {
  const std::int64_t heads = shape.sequences * shape.heads, tiles = tiles_of(shape);
  const std::int64_t group = kCacheBytes / (4 * shape.head_width * shape.length);
  const float scale = 1.0f / std::sqrt(static_cast<float>(shape.head_width));
  return {.T = static_cast<int>(shape.length),
          .H = static_cast<int>(shape.heads),
          .heads = static_cast<int>(heads),
          .tiles = static_cast<int>(tiles),
          .group = static_cast<int>(std::clamp<std::int64_t>(group, 1, heads)),
          .items = static_cast<int>(heads * tiles),
          .scale = scale,
          .scale_log2 = scale * std::numbers::log2e_v<float>};
}

// One block for each multiprocessor. No result depends on their number.
inline unsigned blocks_of(ExecutionContext& ctx, const Work& work) {
  return static_cast<unsigned>(std::min(work.items, state_of(ctx).properties().multiprocessors));
}

}  // namespace ovid::kernels::cuda::sm90
