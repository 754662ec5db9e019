#include <algorithm>

#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device_state.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/vector_access.cuh"
#include "kernels/gradient_norm/gradient_norm.h"
#include "kernels/gradient_norm/gradient_norm_cuda_scratch.h"

// n elements: `lead` ones before the first multiple of 16 bytes, packs, and a rest of less than a
// pack. Pack p belongs to thread p mod (threads of the grid); the elements outside of packs, fewer
// than 16, to the first threads of block 0. Each block adds its threads' sums in a fixed order to
// partial[block], and a second kernel of one block adds those.
namespace ovid::kernels::cuda {

namespace {

constexpr int kThreads = static_cast<int>(kGradientNormThreads);

struct Range {
  std::int64_t lead;   // elements
  std::int64_t packs;  // packs
  std::int64_t rest;   // elements
};

// Squares in float where that loses nothing that shows: below 2^-96 some of them may have vanished,
// and above the largest float they are infinite. There, and for NaN, the pack is squared in double.
template <class T>
__device__ __forceinline__ double sum_of_squares(const Pack<T>& pack) {
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < kPack<T>; ++i) sum = fmaf(pack.get(i), pack.get(i), sum);
  if (sum > 0x1p-96f && sum < INFINITY) return static_cast<double>(sum);
  double exact = 0.0;
#pragma unroll
  for (int i = 0; i < kPack<T>; ++i) {
    const auto x = static_cast<double>(pack.get(i));
    exact = fma(x, x, exact);
  }
  return exact;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    sum_partially(const T* gradient, Range range, double* partial) {
  __shared__ double shared[kWarp + 1];
  const std::int64_t thread = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const std::int64_t threads = static_cast<std::int64_t>(gridDim.x) * kThreads;
  const T* packs = gradient + range.lead;
  double sum = 0.0;
#pragma unroll 4
  for (std::int64_t p = thread; p < range.packs; p += threads) {
    sum += sum_of_squares(load_pack(packs + p * kPack<T>));
  }
  for (std::int64_t i = thread; i < range.lead + range.rest; i += threads) {
    const std::int64_t at = i < range.lead ? i : i + range.packs * kPack<T>;
    const auto x = static_cast<double>(to_float(gradient[at]));
    sum = fma(x, x, sum);
  }
  sum = block_reduce(sum, Sum{}, shared);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

struct Result {
  double* sum_of_squares;
  float* clip_scale;  // or null
  double clip;
  float unscale;
  bool accumulate;
};

__global__ void __launch_bounds__(kThreads)
    finish_sum(const double* partial, int partials, Result result) {
  __shared__ double shared[kWarp + 1];
  double sum = 0.0;
  for (int i = static_cast<int>(threadIdx.x); i < partials; i += kThreads) sum += partial[i];
  sum = block_reduce(sum, Sum{}, shared);
  if (threadIdx.x != 0) return;
  if (result.accumulate) sum = *result.sum_of_squares + sum;
  *result.sum_of_squares = sum;
  if (result.clip_scale == nullptr) return;
  const auto unscale = static_cast<double>(result.unscale);
  const double norm = unscale * sqrt(sum);
  const double factor = result.clip > 0.0 && norm > result.clip ? result.clip / norm : 1.0;
  *result.clip_scale = isfinite(norm) ? static_cast<float>(unscale * factor) : NAN;
}

template <class T>
Range range_of(const ConstView& gradient) {
  const std::int64_t n = gradient.elements();
  const auto misaligned =
      static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(gradient.raw()) % 16 / sizeof(T));
  const std::int64_t lead = std::min<std::int64_t>(n, (kPack<T> - misaligned) % kPack<T>);
  return {.lead = lead, .packs = (n - lead) / kPack<T>, .rest = (n - lead) % kPack<T>};
}

}  // namespace

void gradient_norm(ExecutionContext& ctx, const GradientNorm& op) {
  const std::int64_t n = op.gradient.elements();
  const std::int64_t blocks = gradient_norm_blocks(n);
  ScratchFrame scratch(ctx);
  double* partial = scratch.take<double>(blocks).data();
  dispatch(op.gradient.dtype(), [&]<class T>() {
    sum_partially<T><<<static_cast<unsigned>(blocks), kThreads, 0, stream_of(ctx)>>>(
        static_cast<const T*>(op.gradient.raw()), range_of<T>(op.gradient), partial);
  });
  check_launch("gradient_norm");
  const Result result{.sum_of_squares = op.sum_of_squares.data<double>(),
                      .clip_scale = op.clip_scale ? op.clip_scale->data<float>() : nullptr,
                      .clip = op.clip,
                      .unscale = op.unscale,
                      .accumulate = op.mode == GradientMode::kAccumulate};
  finish_sum<<<1, kThreads, 0, stream_of(ctx)>>>(partial, static_cast<int>(blocks), result);
  check_launch("gradient_norm: finish_sum");
}

}  // namespace ovid::kernels::cuda
