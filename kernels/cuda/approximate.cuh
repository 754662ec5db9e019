#pragma once

// Single instructions of the special-function units and the comparisons that the language does not
// offer. Denormal arguments and results count as zero.
namespace ovid::kernels::cuda {

// 2^x with a relative error of about 2^-22.5; infinite from x = 128, 0 below -126.
__device__ __forceinline__ float exp2_approximate(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// 1 / x with an error of one unit in the last place; 0 for infinities.
__device__ __forceinline__ float reciprocal_approximate(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// The root of x >= 0 to a relative 2^-23; denormals count here. sqrtf is a subroutine.
__device__ __forceinline__ float square_root_approximate(float x) {
  float y;
  asm("sqrt.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// The larger and the smaller of two numbers, NaN where one is NaN (fmaxf and fminf drop it).
__device__ __forceinline__ float max_or_nan(float a, float b) {
  float y;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b));
  return y;
}
__device__ __forceinline__ float min_or_nan(float a, float b) {
  float y;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b));
  return y;
}

}  // namespace ovid::kernels::cuda
