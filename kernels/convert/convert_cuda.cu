#include "kernels/common/stochastic_rounding.h"
#include "kernels/convert/convert.h"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device_state.cuh"
#include "kernels/cuda/row_units.cuh"

// n elements as one row of units of four: block b owns units [b * 1024, (b + 1) * 1024), thread t
// of it t, t + 256, t + 512 and t + 768. One unit takes one draw of four random words.
namespace ovid::kernels::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kSize = 4;
constexpr int kUnits = 4;

template <class Out>
__device__ __forceinline__ Unit<Out, kSize> rounded_at_random(const float (&x)[kSize],
                                                              const Philox4x32& words) {
  Unit<Out, kSize> unit{};
  auto* bits = reinterpret_cast<std::uint16_t*>(&unit.bits);
#pragma unroll
  for (int i = 0; i < kSize; ++i) {
    bits[i] = kDTypeOf<Out> == DType::kBfloat16 ? round_to_bfloat16(x[i], words[i])
                                                : round_to_float16(x[i], words[i]);
  }
  return unit;
}

template <class In, class Out>
__global__ void __launch_bounds__(kThreads)
    convert_units(const In* in, Out* out, std::int64_t n, bool whole, float scale, bool at_random,
                  RandomStream stream) {
  const std::int64_t first =
      static_cast<std::int64_t>(blockIdx.x) * kThreads * kUnits + threadIdx.x;
  Unit<In, kSize> read[kUnits];
#pragma unroll
  for (int u = 0; u < kUnits; ++u) {
    read[u] = load_unit<In, kSize>(in, (first + u * kThreads) * kSize, n, whole);
  }
#pragma unroll
  for (int u = 0; u < kUnits; ++u) {
    const std::int64_t unit = first + u * kThreads;
    float x[kSize];
#pragma unroll
    for (int i = 0; i < kSize; ++i) {
      // A product with one would make a signalling NaN another.
      x[i] = scale == 1.0f ? read[u].get(i) : scale * read[u].get(i);
    }
    Unit<Out, kSize> result{};
    if (sizeof(Out) == 2 && at_random) {
      if (unit * kSize < n) {
        const auto words = random_words(stream, static_cast<std::uint64_t>(unit));
        if constexpr (sizeof(Out) == 2) result = rounded_at_random<Out>(x, words);
      }
    } else {
#pragma unroll
      for (int i = 0; i < kSize; ++i) result.set(i, x[i]);
    }
    store_unit(out, unit * kSize, n, whole, result);
  }
}

}  // namespace

void convert(ExecutionContext& ctx, const Convert& op) {
  const std::int64_t n = op.in.elements();
  if (n == 0) return;
  if (op.in.dtype() == op.out.dtype() && op.scale == 1.0f) {
    check(cudaMemcpyAsync(op.out.raw(), op.in.raw(),
                          static_cast<std::size_t>(n) * bytes_of(op.in.dtype()),
                          cudaMemcpyDeviceToDevice, stream_of(ctx)));
    return;
  }
  constexpr std::int64_t kPerBlock = std::int64_t{kThreads} * kUnits * kSize;
  const auto blocks = static_cast<unsigned>((n + kPerBlock - 1) / kPerBlock);
  dispatch(op.in.dtype(), [&]<class In>() {
    dispatch(op.out.dtype(), [&]<class Out>() {
      {
        const bool whole = rows_take_units<In, kSize>(op.in.raw(), 0) &&
                           rows_take_units<Out, kSize>(op.out.raw(), 0);
        convert_units<<<blocks, kThreads, 0, stream_of(ctx)>>>(
            static_cast<const In*>(op.in.raw()), static_cast<Out*>(op.out.raw()), n, whole,
            op.scale, op.rounding.has_value(), op.rounding.value_or(RandomStream{}));
      }
    });
  });
  check_launch("convert");
}

void set_zero(ExecutionContext& ctx, const SetZero& op) {
  const std::size_t bytes = static_cast<std::size_t>(op.out.elements()) * bytes_of(op.out.dtype());
  if (bytes == 0) return;
  check(cudaMemsetAsync(op.out.raw(), 0, bytes, stream_of(ctx)));
}

}  // namespace ovid::kernels::cuda
