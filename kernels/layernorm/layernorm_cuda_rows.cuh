#pragma once

#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/row_units.cuh"
#include "kernels/layernorm/layernorm_cuda_scratch.h"

// Inside kernels/layernorm: how its CUDA kernels share rows among warps.
//   C        columns of a row, in units of 16 bytes
//   group    the 1, 2 or 4 warps of a row; a block of 4 warps holds 4, 2 or 1 groups
//   turn     one unit for each lane of a group: unit t * lanes + lane belongs to turn t
// A row of whole, aligned units and up to kTurns turns stays in registers; any other belongs to a
// whole block, which reads it again from memory for each pass.
namespace ovid::kernels::cuda {

inline constexpr int kNormThreads = static_cast<int>(kNormWarps * kNormLanes);

template <class T>
inline constexpr int kTurns = static_cast<int>(kNormElements) / Unit<T>::kSize;

struct RowGroup {
  int warps;  // of a row
  int lanes;  // of a row
  int lane;   // this thread's, among them
  int index;  // of the group in its block
  int count;  // of groups in a block

  __device__ __forceinline__ explicit RowGroup(int warps_per_row)
      : warps(warps_per_row),
        lanes(warps_per_row * kWarp),
        lane(static_cast<int>(threadIdx.x) % lanes),
        index(static_cast<int>(threadIdx.x) / lanes),
        count(kNormThreads / lanes) {}
};

// Sums over the lanes of each group, in the same order whenever it is called; all threads of the
// block take part. `exchange` holds kNormWarps * N floats.
template <int N>
__device__ __forceinline__ void sum_over_group(float (&values)[N], const RowGroup& group,
                                               float* exchange) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
#pragma unroll
    for (int i = 0; i < N; ++i) values[i] += __shfl_xor_sync(kAllLanes, values[i], distance);
  }
  if (group.warps == 1) return;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  __syncthreads();  // an earlier call may still read
  if (threadIdx.x % kWarp == 0) {
#pragma unroll
    for (int i = 0; i < N; ++i) exchange[warp * N + i] = values[i];
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < N; ++i) {
    values[i] = 0.0f;
    for (int w = 0; w < group.warps; ++w) {
      values[i] += exchange[(group.index * group.warps + w) * N + i];
    }
  }
}

}  // namespace ovid::kernels::cuda
