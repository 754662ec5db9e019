#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device_state.cuh"
#include "kernels/cuda/vector_access.cuh"
#include "kernels/moving_average/moving_average.h"

// n elements: block b, thread t own pack b * 256 + t of the `packs` ones; the threads behind those
// own what no pack holds, one element each. Arrays that begin at no multiple of 16 bytes have no
// packs.
namespace ovid::kernels::cuda {

namespace {

constexpr int kThreads = 256;

__device__ __forceinline__ float averaged(float average, float value, float share) {
  return fmaf(share, value - average, average);
}

__global__ void __launch_bounds__(kThreads)
    average(const float* value, float* average, std::int64_t n, std::int64_t packs, float share) {
  const std::int64_t thread = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (thread < packs) {
    const std::int64_t at = thread * kPack<float>;
    const Pack<float> now = load_pack_streaming(value + at);
    Pack<float> mean = load_pack_streaming(average + at);
#pragma unroll
    for (int i = 0; i < kPack<float>; ++i) mean.set(i, averaged(mean.get(i), now.get(i), share));
    store_pack_streaming(average + at, mean);
  } else if (const std::int64_t i = packs * kPack<float> + (thread - packs); i < n) {
    average[i] = averaged(average[i], value[i], share);
  }
}

}  // namespace

void moving_average_update(ExecutionContext& ctx, const MovingAverage& op) {
  const std::int64_t n = op.value.elements();
  if (n == 0) return;
  const bool aligned = rows_take_packs<float>(op.value.raw(), kPack<float>) &&
                       rows_take_packs<float>(op.average.raw(), kPack<float>);
  const std::int64_t packs = aligned ? n / kPack<float> : 0;
  const std::int64_t threads = packs + (n - packs * kPack<float>);
  const auto blocks = static_cast<unsigned>((threads + kThreads - 1) / kThreads);
  average<<<blocks, kThreads, 0, stream_of(ctx)>>>(op.value.data<float>(), op.average.data<float>(),
                                                   n, packs, 1.0f - op.decay);
  check_launch("moving_average_update");
}

}  // namespace ovid::kernels::cuda
