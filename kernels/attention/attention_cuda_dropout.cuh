#pragma once

#include <cstdint>
#include <optional>

#include "kernels/common/dropout_mask.h"
#include "kernels/cuda/reduce.cuh"

// Dropout on P inside the attention kernels: the CPU's mask, whose random words come in quads of
// four consecutive keys of one query (attention.h). In a 16 x 8 piece a quad belongs to several
// lanes: each lane draws one, and they exchange which elements are kept.
namespace ovid::kernels::cuda::attention {

struct HeadDropout {
  DropoutMask mask;
  std::uint64_t first;  // quad of the head's query 0 and key 0
  std::uint64_t quads;  // of a query: ceil(T / 4)

  // Bit i: element i of the quad is kept.
  __device__ __forceinline__ unsigned kept(int query, int key) const {
    const Philox4x32 words =
        random_words(mask.stream, first + static_cast<std::uint64_t>(query) * quads +
                                      static_cast<std::uint64_t>(key / 4));
    unsigned bits = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      bits |= (uniform_float(words[i]) >= mask.probability ? 1u : 0u) << i;
    }
    return bits;
  }
};

// For head `head` = b H + h of sequences of T positions; a mask of probability 0 where there is
// none.
__device__ __forceinline__ HeadDropout head_dropout(const DropoutMask& mask, std::int64_t head,
                                                    int T) {
  const auto quads = static_cast<std::uint64_t>((T + 3) / 4);
  return {mask, static_cast<std::uint64_t>(head) * static_cast<std::uint64_t>(T) * quads, quads};
}

// factors[2 h + e] of the piece whose first row is query `query`, whose first column is key `key`,
// a multiple of 4. Four lanes share two rows' two quads. The whole warp takes part.
__device__ __forceinline__ void piece_factors(const HeadDropout& dropout, int query, int key,
                                              float (&factors)[4]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const unsigned own = dropout.kept(query + lane / 4 + lane % 2 * 8, key + lane % 4 / 2 * 4);
  const unsigned other = __shfl_xor_sync(kAllLanes, own, 1);
  const unsigned of_half[2] = {lane % 2 == 0 ? own : other, lane % 2 == 0 ? other : own};
  const float scale = dropout.mask.keep_scale();
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    factors[i] = (of_half[i / 2] >> (lane % 2 * 2 + i % 2) & 1u) != 0 ? scale : 0.0f;
  }
}

// The same of a piece whose rows are keys from `key` on, a multiple of 4, and whose columns are
// queries: a quad goes down four lanes, which draw one of their four quads each.
__device__ __forceinline__ void transposed_piece_factors(const HeadDropout& dropout, int query,
                                                         int key, float (&factors)[4]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int turn = lane / 4 % 4;  // and the lane's place in its quads
  unsigned kept[4];               // by element; own first
  kept[0] = dropout.kept(query + lane % 4 * 2 + turn % 2, key + lane / 16 * 4 + turn / 2 * 8);
#pragma unroll
  for (int distance = 1; distance < 4; ++distance) {
    kept[distance] = __shfl_xor_sync(kAllLanes, kept[0], 4 * distance);
  }
  const float scale = dropout.mask.keep_scale();
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    // Element i = 2 h + e is in the quad that lane `turn` ^ distance of the four has drawn.
    const int distance = i ^ turn;
    const unsigned bits = distance == 0   ? kept[0]
                          : distance == 1 ? kept[1]
                          : distance == 2 ? kept[2]
                                          : kept[3];
    factors[i] = (bits >> turn & 1u) != 0 ? scale : 0.0f;
  }
}

}  // namespace ovid::kernels::cuda::attention
