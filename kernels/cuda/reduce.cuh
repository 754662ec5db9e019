#pragma once

#include <cstdint>
#include <limits>

// Sums and maxima over the lanes of a warp and the warps of a block, in an order that does not
// depend on timing.
namespace ovid::kernels::cuda {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xFFFFFFFFu;

struct Sum {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a + b;
  }
  static constexpr float identity() { return 0.0f; }
};
struct Max {
  __device__ __forceinline__ float operator()(float a, float b) const { return fmaxf(a, b); }
  static constexpr float identity() { return -std::numeric_limits<float>::infinity(); }
};

// The whole warp takes part; every lane gets the result.
template <class Op, class T>
__device__ __forceinline__ T warp_reduce(T value, Op op) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    value = op(value, __shfl_xor_sync(kAllLanes, value, distance));
  }
  return value;
}
template <class T>
__device__ __forceinline__ T warp_sum(T value) {
  return warp_reduce(value, Sum{});
}
__device__ __forceinline__ float warp_max(float value) {
  return warp_reduce(value, Max{});
}

// The whole block takes part, blockDim.x a multiple of 32 and at most 1024; every thread gets the
// result. `shared` holds 33 values of its own, which a second call may use again at once.
template <class Op, class T>
__device__ __forceinline__ T block_reduce(T value, Op op, T* shared) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  value = warp_reduce(value, op);
  __syncthreads();  // an earlier call may still read
  if (lane == 0) shared[warp] = value;
  __syncthreads();
  if (warp == 0) {
    T partial = lane < warps ? shared[lane] : static_cast<T>(Op::identity());
    partial = warp_reduce(partial, op);
    if (lane == 0) shared[kWarp] = partial;
  }
  __syncthreads();
  return shared[kWarp];
}

}  // namespace ovid::kernels::cuda
