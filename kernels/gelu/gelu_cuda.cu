#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device_state.cuh"
#include "kernels/cuda/gelu.cuh"
#include "kernels/cuda/vector_access.cuh"
#include "kernels/gelu/gelu.h"

// Element by element. n elements: block b, thread t own pack b * 256 + t; the last block's first
// threads own what no pack holds, one element each.
namespace ovid::kernels::cuda {

namespace {

constexpr int kThreads = 256;

template <class T, class Function>
__device__ __forceinline__ void for_each_element(std::int64_t n, Function function) {
  const std::int64_t thread = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const std::int64_t packs = n / kPack<T>;
  if (thread < packs) {
    function.pack(thread * kPack<T>);
  } else if (const std::int64_t i = packs * kPack<T> + (thread - packs); i < n) {
    function.one(i);
  }
}

template <class T>
struct Forward {
  const T* in;
  T* out;
  __device__ __forceinline__ void pack(std::int64_t at) const {
    const Pack<T> u = load_pack(in + at);
    Pack<T> g;
#pragma unroll
    for (int i = 0; i < kPack<T>; ++i) g.set(i, gelu(u.get(i)));
    store_pack(out + at, g);
  }
  __device__ __forceinline__ void one(std::int64_t i) const {
    out[i] = from_float<T>(gelu(to_float(in[i])));
  }
};

template <class T>
struct Backward {
  const T* d_out;
  const T* in;
  T* d_in;
  __device__ __forceinline__ void pack(std::int64_t at) const {
    const Pack<T> d = load_pack(d_out + at), u = load_pack(in + at);
    Pack<T> result;
#pragma unroll
    for (int i = 0; i < kPack<T>; ++i) result.set(i, d.get(i) * gelu_derivative(u.get(i)));
    store_pack(d_in + at, result);
  }
  __device__ __forceinline__ void one(std::int64_t i) const {
    d_in[i] = from_float<T>(to_float(d_out[i]) * gelu_derivative(to_float(in[i])));
  }
};

template <class T, class Function>
__global__ void __launch_bounds__(kThreads) elementwise(std::int64_t n, Function function) {
  for_each_element<T>(n, function);
}

template <class T, class Function>
void launch(ExecutionContext& ctx, const char* name, std::int64_t n, Function function) {
  const std::int64_t threads = n / kPack<T> + n % kPack<T>;
  if (threads == 0) return;
  const auto blocks = static_cast<unsigned>((threads + kThreads - 1) / kThreads);
  elementwise<T><<<blocks, kThreads, 0, stream_of(ctx)>>>(n, function);
  check_launch(name);
}

}  // namespace

void gelu_forward(ExecutionContext& ctx, const Gelu& op) {
  dispatch(op.in.dtype(), [&]<class T>() {
    launch<T>(ctx, "gelu_forward", op.in.elements(),
              Forward<T>{static_cast<const T*>(op.in.raw()), static_cast<T*>(op.out.raw())});
  });
}

void gelu_backward(ExecutionContext& ctx, const GeluGradient& op) {
  dispatch(op.in.dtype(), [&]<class T>() {
    launch<T>(ctx, "gelu_backward", op.in.elements(),
              Backward<T>{static_cast<const T*>(op.d_out.raw()), static_cast<const T*>(op.in.raw()),
                          static_cast<T*>(op.d_in.raw())});
  });
}

}  // namespace ovid::kernels::cuda
