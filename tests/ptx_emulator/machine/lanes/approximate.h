#pragma once
// Transcendental functions in f32, accurate to about one unit in the last place: within what the
// manual grants the hardware. Straight-line code, so that lane loops vectorise. Included only by
// the files compiled per instruction set.

#include "tests/ptx_emulator/machine/lanes/numbers.h"

namespace ptx_emulator::lanes::PTX_LANES_ISA {

// 2^x. Taylor series of degree 7 about the nearest integer: its error on [-1/2, 1/2] is below
// 2^-27.
[[gnu::always_inline]] inline float exp2_lane(float x) {
  const float low = x < -160.0f ? -160.0f : x;
  const float clamped = low > 130.0f ? 130.0f : low;
  const float whole = __builtin_rintf(clamped);
  const float f = clamped - whole;
  float series = 1.52527338e-5f;
  series = __builtin_fmaf(series, f, 1.54035304e-4f);
  series = __builtin_fmaf(series, f, 1.33335581e-3f);
  series = __builtin_fmaf(series, f, 9.61812911e-3f);
  series = __builtin_fmaf(series, f, 5.55041087e-2f);
  series = __builtin_fmaf(series, f, 2.40226507e-1f);
  series = __builtin_fmaf(series, f, 6.93147181e-1f);
  series = __builtin_fmaf(series, f, 1.0f);
  // Two factors: one power of two alone would leave the range of normal numbers.
  const s32 exponent = static_cast<s32>(x == x ? whole : 0.0f);
  const s32 half = exponent >> 1;
  const float first = float_of(static_cast<u32>(half + 127) << 23);
  const float second = float_of(static_cast<u32>(exponent - half + 127) << 23);
  return series * first * second;
}

// log2(x), as the exponent plus 2/ln 2 artanh((m - 1)/(m + 1)).
[[gnu::always_inline]] inline float log2_lane(float x) {
  const bool tiny = x < 0x1p-126f;
  const float scaled = tiny ? x * 0x1p23f : x;
  const u32 bits = bits_of(scaled);
  const s32 offset = static_cast<s32>(bits - 0x3F3504F3u) >> 23;  // sqrt(1/2) begins a binade
  const float m = float_of(bits - (static_cast<u32>(offset) << 23));
  const float exponent = static_cast<float>(tiny ? offset - 23 : offset);
  const float t = (m - 1.0f) / (m + 1.0f), z = t * t;
  float series = 2.62308189e-1f;  // 2 / (11 ln 2)
  series = __builtin_fmaf(series, z, 3.20598898e-1f);
  series = __builtin_fmaf(series, z, 4.12198583e-1f);
  series = __builtin_fmaf(series, z, 5.77078016e-1f);
  series = __builtin_fmaf(series, z, 9.61796694e-1f);
  series = __builtin_fmaf(series, z, 2.88539008f);
  const float finite = __builtin_fmaf(series, t, exponent);
  const float at_zero = x == 0.0f ? -__builtin_inff() : float_of(kNan32);
  const float positive = x == __builtin_inff() ? x : finite;
  return x > 0.0f ? positive : at_zero;
}

// tanh(x): a series near zero, (e^2x - 1)/(e^2x + 1) elsewhere.
[[gnu::always_inline]] inline float tanh_lane(float x) {
  const float magnitude = __builtin_fabsf(x), z = x * x;
  const float power = exp2_lane(magnitude * 2.88539008f);
  const float far = 1.0f - 2.0f / (power + 1.0f);
  float series = -8.86323552e-3f;
  series = __builtin_fmaf(series, z, 2.18694885e-2f);
  series = __builtin_fmaf(series, z, -5.39682540e-2f);
  series = __builtin_fmaf(series, z, 1.33333333e-1f);
  series = __builtin_fmaf(series, z, -3.33333333e-1f);
  const float near = __builtin_fmaf(series * z, x, x);
  return canonical(magnitude < 0.3f ? near : __builtin_copysignf(far, x));
}

}  // namespace ptx_emulator::lanes::PTX_LANES_ISA
