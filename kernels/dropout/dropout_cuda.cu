#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device_state.cuh"
#include "kernels/cuda/row_units.cuh"
#include "kernels/dropout/dropout.h"

// n elements as one row: thread t of the grid owns unit t, whose factors it draws four at a time.
namespace ovid::kernels::cuda {

namespace {

constexpr int kThreads = 256;

template <class T>
__global__ void __launch_bounds__(kThreads)
    multiply_by_mask(const T* in, T* out, std::int64_t n, bool whole, DropoutMask mask) {
  constexpr int kSize = Unit<T>::kSize;
  const std::int64_t thread = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const std::int64_t at = thread * kSize;
  if (at >= n) return;
  Unit<T> unit = load_unit(in, at, n, whole);
  float factors[kSize];
  dropout_factors(mask, static_cast<std::uint64_t>(at), factors);
#pragma unroll
  for (int i = 0; i < kSize; ++i) unit.set(i, unit.get(i) * factors[i]);
  store_unit(out, at, n, whole, unit);
}

void multiply_by_mask(ExecutionContext& ctx, const char* name, const ConstView& in, const View& out,
                      const DropoutMask& mask) {
  const std::int64_t n = in.elements();
  if (n == 0) return;
  dispatch(in.dtype(), [&]<class T>() {
    const std::int64_t units = (n + Unit<T>::kSize - 1) / Unit<T>::kSize;
    const auto blocks = static_cast<unsigned>((units + kThreads - 1) / kThreads);
    const bool whole = rows_take_units<T>(in.raw(), 0) && rows_take_units<T>(out.raw(), 0);
    multiply_by_mask<T><<<blocks, kThreads, 0, stream_of(ctx)>>>(
        static_cast<const T*>(in.raw()), static_cast<T*>(out.raw()), n, whole, mask);
  });
  check_launch(name);
}

}  // namespace

void dropout_forward(ExecutionContext& ctx, const Dropout& op) {
  multiply_by_mask(ctx, "dropout_forward", op.in, op.out, op.mask);
}

// The map is linear and diagonal: its adjoint is itself.
void dropout_backward(ExecutionContext& ctx, const DropoutGradient& op) {
  multiply_by_mask(ctx, "dropout_backward", op.d_out, op.d_in, op.mask);
}

}  // namespace ovid::kernels::cuda
