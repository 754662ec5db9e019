#pragma once

#include "kernels/cuda/approximate.cuh"

// GELU and its derivative on the device, for the ops gelu and linear. The form is the CPU's
// (kernels/cpu/gelu-inl.h): with s = (1 + tanh(y)) / 2 = 1 / (1 + exp(-2 y)) and
// 2 y = u (a + b u^2), a = 2 sqrt(2 / pi), b = 0.044715 a,
//   gelu(u)  = u s
//   gelu'(u) = s + u s (1 - s) (a + 3 b u^2)
// One exponential, of base 2, and one reciprocal. At argument x the exponential errs by about
// 3 + |x| units of 2^-24, which the decay of s outweighs: below 1e-6 in absolute terms.
namespace ovid::kernels::cuda {

inline constexpr float kGeluSlope = 1.5957691216057308f;
inline constexpr float kGeluCubic = 0.0713548162726009f;
// The same over ln 2.
inline constexpr float kGeluSlopeBase2 = 2.302208198144325f;
inline constexpr float kGeluCubicBase2 = 0.1029432395800235f;
// Beyond it the function is u or 0 to within 1e-36.
inline constexpr float kGeluEnd = 9.99f;

// exp(-2 y)
__device__ __forceinline__ float gelu_exponential(float u) {
  return exp2_approximate(-u * (kGeluSlopeBase2 + kGeluCubicBase2 * u * u));
}

__device__ __forceinline__ float gelu(float u) {
  // Far left the exponential is infinite and s is 0, which -infinity must not be multiplied by.
  const float s = reciprocal_approximate(1.0f + gelu_exponential(u));
  return u < -kGeluEnd ? 0.0f : u * s;
}

__device__ __forceinline__ float gelu_derivative(float unbounded) {
  const float u = min_or_nan(max_or_nan(unbounded, -kGeluEnd), kGeluEnd);
  const float e = gelu_exponential(u);
  const float s = reciprocal_approximate(1.0f + e);
  // 1 - s is e s, which does not cancel.
  return s + e * s * s * u * (kGeluSlope + 3.0f * kGeluCubic * u * u);
}

}  // namespace ovid::kernels::cuda
