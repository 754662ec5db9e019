#pragma once

#include <cstdint>

#include "kernels/attention/attention_cuda_sm90_items.cuh"
#include "kernels/cuda/approximate.cuh"
#include "kernels/cuda/hopper.cuh"
#include "kernels/cuda/numeric.cuh"
#include "kernels/cuda/reduce.cuh"

// What a warp group does with 64 rows of queries and up to 128 keys. Thread l of warp w holds, of
// rows 16 w + l / 4 + 8 r (r = 0, 1), scores[4 i + 2 r + e]: key 8 i + 2 (l % 4) + e, and so
// out[4 i + 2 r + e] for the column. Keys 64 .. 127 of a tile are its upper half.
namespace ovid::kernels::cuda::sm90 {

// scores (64, kKeys) = Q K^T, enqueued: Q 64 rows at `queries`, K kKeys rows at `keys`.
template <class T, int D, int kKeys>
__device__ __forceinline__ void multiply_scores(float* scores, std::uint32_t queries,
                                                std::uint32_t keys) {
  const std::uint64_t q = descriptor_k_major(queries), k = descriptor_k_major(keys);
#pragma unroll
  for (int step = 0; step < D / 16; ++step) {
    const std::uint32_t at = step / 4 * kPanelBytes + step % 4 * 32;
    product_of_shared<T, kKeys>(scores, descriptor_at(q, at), descriptor_at(k, at), step > 0);
  }
}

// out (64, D) += P V for 64 keys, enqueued: P in a[16], V 64 rows at `values`.
template <class T, int D>
__device__ __forceinline__ void multiply_values(float (&out)[D / 2], const std::uint32_t* a,
                                                std::uint32_t values) {
  const std::uint64_t v = descriptor_n_major(values, kPanelBytes);
#pragma unroll
  for (int step = 0; step < 4; ++step) {
    product_of_registers<T, D, true>(out, a + 4 * step, descriptor_at(v, step * kStepBytes), true);
  }
}

// The upper half of the scores are those of 64 rows and keys on the diagonal: -infinity right of
// it.
__device__ __forceinline__ void mask_diagonal(float (&scores)[64]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int first_row = static_cast<int>(threadIdx.x) % kWarpGroup / kWarp * 16 + lane / 4;
  const int first_key = lane % 4 * 2;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int row = first_row + j / 2 * 8, key = first_key + 8 * i + j % 2;
      if (key > row) scores[32 + 4 * i + j] = Max::identity();
    }
  }
}

// Sums and maxima of the online softmax; of the thread's two rows.
struct RowState {
  float largest[2];  // of the scores, the same in the four lanes of a row
  float sum[2];      // of this lane's exponentials, relative to exp(scale largest)
};

// Replaces scores from kBegin on by exp(scale (score - largest)) with the new largest; `shrink` is
// what the earlier exponentials have to be multiplied by. scale_log2 = scale / ln 2 > 0, so that
// each exponential is one multiply-add and one power of two.
template <bool kFirst, int kBegin>
__device__ __forceinline__ void softmax(float (&scores)[64], RowState& state, float (&shrink)[2],
                                        float scale_log2) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float even = scores[kBegin + 2 * r], odd = scores[kBegin + 2 * r + 1];
#pragma unroll
    for (int i = kBegin + 4; i < 64; i += 4) {
      even = fmaxf(even, scores[i + 2 * r]);
      odd = fmaxf(odd, scores[i + 2 * r + 1]);
    }
    float largest = fmaxf(even, odd);
    largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 1));
    largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 2));
    if constexpr (!kFirst) {
      largest = fmaxf(largest, state.largest[r]);
      shrink[r] = exp2_approximate((state.largest[r] - largest) * scale_log2);
    }
    state.largest[r] = largest;
    const float shift = largest * scale_log2;
    float even_sum = 0.0f, odd_sum = 0.0f;
#pragma unroll
    for (int i = kBegin; i < 64; i += 4) {
      float& a = scores[i + 2 * r];
      float& b = scores[i + 2 * r + 1];
      a = exp2_approximate(fmaf(a, scale_log2, -shift));
      b = exp2_approximate(fmaf(b, scale_log2, -shift));
      even_sum += a;
      odd_sum += b;
    }
    const float sum = even_sum + odd_sum;
    state.sum[r] = kFirst ? sum : fmaf(state.sum[r], shrink[r], sum);
  }
}

// P rounded to T as the A operand of multiply_values: 16 keys in four registers.
template <class T, int kBegin>
__device__ __forceinline__ void pack_probabilities(const float (&scores)[64],
                                                   std::uint32_t (&packed)[32]) {
#pragma unroll
  for (int i = kBegin / 2; i < 32; ++i) {
    packed[i] = pair_from_floats<T>(scores[2 * i], scores[2 * i + 1]);
  }
}

template <int kCount>
__device__ __forceinline__ void scale_rows(float (&out)[kCount], const float (&factor)[2]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) out[i] *= factor[i / 2 % 2];
}

// Where the lane's row of four 8 x 8 matrices lies in a panel of 64 rows: of matrices 0 to 3 rows 0
// to 7, 8 to 15, 0 to 7, 8 to 15 of the warp's 16, and the 16-byte groups 2 pair and (2, 3) one
// more.
__device__ __forceinline__ std::uint32_t matrices_at(std::uint32_t panel, int pair) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int row = static_cast<int>(threadIdx.x) % kWarpGroup / kWarp * 16 + lane % 16;
  return panel + row * 128 + (((pair * 2 + lane / 16) ^ (row % 8)) * 16);
}

// The warp's 16 rows of out to the box at `box` (D / 64 panels of 64 rows), rounded to T.
template <class T, int D>
__device__ __forceinline__ void store_rows(const float (&out)[D / 2], std::uint32_t box) {
#pragma unroll
  for (int pair = 0; pair < D / 16; ++pair) {
    const std::uint32_t r[4] = {pair_from_floats<T>(out[8 * pair], out[8 * pair + 1]),
                                pair_from_floats<T>(out[8 * pair + 2], out[8 * pair + 3]),
                                pair_from_floats<T>(out[8 * pair + 4], out[8 * pair + 5]),
                                pair_from_floats<T>(out[8 * pair + 6], out[8 * pair + 7])};
    store_matrices(matrices_at(box + pair / 4 * kHalfBytes, pair % 4), r);
  }
}

}  // namespace ovid::kernels::cuda::sm90
