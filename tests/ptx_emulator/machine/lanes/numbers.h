#pragma once
// Floating-point values in lanes: canonical NaN, flushing, saturation, and the 16-bit formats.
// Included only by the files that are compiled once for each instruction set.

#include "tests/ptx_emulator/machine/lanes/map.h"

namespace ptx_emulator::lanes::PTX_LANES_ISA {

constexpr float float_of(u32 bits) {
  return __builtin_bit_cast(float, bits);
}
constexpr u32 bits_of(float value) {
  return __builtin_bit_cast(u32, value);
}
constexpr double double_of(u64 bits) {
  return __builtin_bit_cast(double, bits);
}
constexpr u64 bits_of(double value) {
  return __builtin_bit_cast(u64, value);
}

constexpr u32 kNan32 = 0x7FFFFFFFu;  // what every f32 operation gives for NaN
constexpr u32 kNan16 = 0x7FFFu;      // the same of f16 and bf16
constexpr u64 kNan64 = 0xFFF8000000000000u;

inline float canonical(float x) {
  return x == x ? x : float_of(kNan32);
}
inline double canonical(double x) {
  return x == x ? x : double_of(kNan64);
}

// Denormals to zeros of the same sign.
template <bool kFtz>
float flush(float x) {
  if constexpr (!kFtz) return x;
  return __builtin_fabsf(x) < 0x1p-126f ? __builtin_copysignf(0.0f, x) : x;
}
// To [0, 1]; NaN and -0 to +0.
template <bool kSat>
float saturate(float x) {
  if constexpr (!kSat) return x;
  const float low = x > 0.0f ? x : 0.0f;
  return low < 1.0f ? low : 1.0f;
}
// What an f32 operation makes of its rounded result.
template <bool kFtz, bool kSat>
float finish(float x) {
  return saturate<kSat>(canonical(flush<kFtz>(x)));
}

// Smaller and larger, -0 below +0. A NaN loses against a number (or wins, where kNan); two give the
// canonical NaN.
template <bool kNan>
float minimum(float a, float b) {
  const u32 zeros = bits_of(a) | bits_of(b);
  const float least = a < b ? a : (b < a ? b : float_of(zeros));
  const float other = a != a ? b : a;
  return canonical(a != a || b != b ? (kNan ? float_of(kNan32) : other) : least);
}
template <bool kNan>
float maximum(float a, float b) {
  const u32 zeros = bits_of(a) & bits_of(b);
  const float most = a < b ? b : (b < a ? a : float_of(zeros));
  const float other = a != a ? b : a;
  return canonical(a != a || b != b ? (kNan ? float_of(kNan32) : other) : most);
}

// A double to f32 such that a later rounding to fewer bits is right: inexact results get an odd
// last bit.
inline float round_to_odd(double x) {
  const float nearest = static_cast<float>(x);
  const double rest = x - static_cast<double>(nearest);
  const u32 bits = bits_of(nearest);
  const bool away = __builtin_fabs(x) > __builtin_fabs(static_cast<double>(nearest));
  const u32 odd = away ? bits + 1 : bits - 1;
  return (rest < 0 || rest > 0) && (bits & 1u) == 0 ? float_of(odd) : nearest;
}

// IEEE half precision in the lower 16 bits of a lane.
struct F16 {
  static constexpr bool kIsBf16 = false;
  static float widen(u32 half) {
    const u32 sign = (half & 0x8000u) << 16, magnitude = (half & 0x7FFFu) << 13;
    const u32 normal = magnitude + (112u << 23), special = magnitude + (224u << 23);
    const u32 tiny = bits_of(float_of(magnitude + (113u << 23)) - 0x1p-14f);
    const u32 finite = magnitude < 0x00800000u ? tiny : normal;
    return float_of(sign | (magnitude >= 0x0F800000u ? special : finite));
  }
  // To nearest even.
  static u32 narrow(float value) {
    const u32 bits = bits_of(value), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
    const u32 normal = (magnitude - (112u << 23) + 0xFFFu + (magnitude >> 13 & 1u)) >> 13;
    // The last bit of a half denormal is that of 0.5 in f32.
    const u32 tiny = bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f);
    const u32 finite = magnitude < 0x38800000u ? tiny : normal;
    const u32 number = sign | (magnitude >= 0x477FF000u ? 0x7C00u : finite);
    return magnitude > 0x7F800000u ? kNan16 : number;
  }
  static constexpr float kSmallest = 0x1p-14f;  // normal
  // a b + c for one more rounding: the product is exact, and what the sum loses makes its last bit
  // odd.
  static float fma(float a, float b, float c) {
    const float product = a * b, sum = product + c;
    const float virtual_addend = sum - product;
    const float lost = (product - (sum - virtual_addend)) + (c - virtual_addend);
    const u32 bits = bits_of(sum);
    const u32 odd = (lost > 0) == (sum > 0) ? bits + 1 : bits - 1;
    const bool adjust = (lost < 0 || lost > 0) && (bits & 1u) == 0;
    return adjust ? float_of(odd) : sum;
  }
};

struct Bf16 {
  static constexpr bool kIsBf16 = true;
  static float widen(u32 half) { return float_of(half << 16); }
  static u32 narrow(float value) {
    const u32 bits = bits_of(value);
    const u32 rounded = (bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16;
    return (bits & 0x7FFFFFFFu) > 0x7F800000u ? kNan16 : rounded;
  }
  static constexpr float kSmallest = 0x1p-126f;
  // The product is exact in double; the sum may span more bits than that, so what it loses makes
  // its last bit odd.
  static float fma(float a, float b, float c) {
    const double product = static_cast<double>(a) * b, addend = c;
    const double sum = product + addend;
    const double virtual_addend = sum - product;
    const double lost = (product - (sum - virtual_addend)) + (addend - virtual_addend);
    const u64 bits = bits_of(sum);
    const u64 odd = (lost > 0) == (sum > 0) ? bits + 1 : bits - 1;
    const bool adjust = (lost < 0 || lost > 0) && (bits & 1u) == 0;
    return round_to_odd(adjust ? double_of(odd) : sum);
  }
};

// A denormal of the format to zero.
template <typename Format, bool kFtz>
float flush_half(float x) {
  if constexpr (!kFtz) return x;
  return __builtin_fabsf(x) < Format::kSmallest ? __builtin_copysignf(0.0f, x) : x;
}

}  // namespace ptx_emulator::lanes::PTX_LANES_ISA
