#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "kernels/common/dtype.h"
#include "kernels/common/errors.h"

// The three number types of operands on the device, and arithmetic's: kernels read and write T and
// compute in float.
namespace ovid::kernels::cuda {

template <class T>
inline constexpr DType kDTypeOf = DType::kUint8;
template <>
inline constexpr DType kDTypeOf<float> = DType::kFloat32;
template <>
inline constexpr DType kDTypeOf<__nv_bfloat16> = DType::kBfloat16;
template <>
inline constexpr DType kDTypeOf<__half> = DType::kFloat16;

__device__ __forceinline__ float to_float(float x) {
  return x;
}
__device__ __forceinline__ float to_float(__nv_bfloat16 x) {
  return __bfloat162float(x);
}
__device__ __forceinline__ float to_float(__half x) {
  return __half2float(x);
}

// Rounds to nearest, ties to even.
template <class T>
__device__ __forceinline__ T from_float(float x);
template <>
__device__ __forceinline__ float from_float<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ __nv_bfloat16 from_float<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}
template <>
__device__ __forceinline__ __half from_float<__half>(float x) {
  return __float2half_rn(x);
}

// Two numbers rounded to a 16-bit type, in one conversion; the first in the lower half.
template <class T>
__device__ __forceinline__ std::uint32_t pair_from_floats(float low, float high);
template <>
__device__ __forceinline__ std::uint32_t pair_from_floats<__nv_bfloat16>(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return static_cast<std::uint32_t>(__bfloat16_as_ushort(pair.x)) |
         static_cast<std::uint32_t>(__bfloat16_as_ushort(pair.y)) << 16;
}
template <>
__device__ __forceinline__ std::uint32_t pair_from_floats<__half>(float low, float high) {
  const __half2 pair = __floats2half2_rn(low, high);
  return static_cast<std::uint32_t>(__half_as_ushort(pair.x)) |
         static_cast<std::uint32_t>(__half_as_ushort(pair.y)) << 16;
}

// Calls visit.template operator()<T>() with the element type of `dtype`, which the op's checks have
// allowed:  dispatch(op.in.dtype(), [&]<class T>() { launch<T>(...); });
template <class Visit>
void dispatch(DType dtype, Visit&& visit) {
  switch (dtype) {
    case DType::kFloat32:
      return visit.template operator()<float>();
    case DType::kBfloat16:
      return visit.template operator()<__nv_bfloat16>();
    case DType::kFloat16:
      return visit.template operator()<__half>();
    default:
      throw ShapeError(std::string("no CUDA kernel computes in ") + name_of(dtype));
  }
}

}  // namespace ovid::kernels::cuda
