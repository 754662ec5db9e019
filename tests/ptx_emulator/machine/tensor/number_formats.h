#pragma once
// The small floating types of matrix products, one value at a time.

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace ptx_emulator::tensor {

inline float float_of_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

inline float float_of_f16(std::uint16_t bits) {
  const std::uint32_t magnitude = bits & 0x7FFFu;
  // The product moves the exponent, and normalises what is subnormal in f16.
  const float moved = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  std::uint32_t word = std::bit_cast<std::uint32_t>(moved) | std::uint32_t{bits & 0x8000u} << 16;
  if (magnitude >= 0x7C00u) word |= magnitude > 0x7C00u ? 0x7FC00000u : 0x7F800000u;
  return std::bit_cast<float>(word);
}

// Rounds to nearest, ties to even; overflow gives infinity, NaN the canonical 0x7FFF.
inline std::uint16_t f16_of_float(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return 0x7FFF;
  if (magnitude >= 0x477FF000u) return static_cast<std::uint16_t>(sign | 0x7C00u);
  if (magnitude < 0x38800000u) {  // subnormal: the sum's own rounding does the work
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3F000000u));
  }
  const std::uint32_t odd = (magnitude >> 13) & 1u;
  return static_cast<std::uint16_t>(sign | ((magnitude - 0x38000000u + 0xFFFu + odd) >> 13));
}

// e5m2: the upper byte of an f16. e4m3: bias 7, no infinity, 0x7F and 0xFF are NaN.
inline float float_of_e5m2(std::uint8_t bits) {
  return float_of_f16(static_cast<std::uint16_t>(bits << 8));
}
inline float float_of_e4m3(std::uint8_t bits) {
  const std::uint32_t exponent = (bits >> 3) & 15u;
  const std::uint32_t fraction = bits & 7u;
  if (exponent == 15 && fraction == 7) return std::numeric_limits<float>::quiet_NaN();
  const float magnitude = exponent == 0
                              ? static_cast<float>(fraction) * 0x1p-9f
                              : std::bit_cast<float>(((exponent + 120) << 23) | (fraction << 20));
  return (bits & 0x80u) != 0 ? -magnitude : magnitude;
}

// The tensor cores read the upper 19 bits of a tf32 operand.
inline float float_of_tf32(std::uint32_t bits) {
  return std::bit_cast<float>(bits & 0xFFFFE000u);
}

// All 256 values of a type of 8 bits.
inline const std::array<float, 256>& e4m3_values() {
  static const std::array<float, 256> values = [] {
    std::array<float, 256> all{};
    for (std::size_t i = 0; i < 256; ++i) all[i] = float_of_e4m3(static_cast<std::uint8_t>(i));
    return all;
  }();
  return values;
}
inline const std::array<float, 256>& e5m2_values() {
  static const std::array<float, 256> values = [] {
    std::array<float, 256> all{};
    for (std::size_t i = 0; i < 256; ++i) all[i] = float_of_e5m2(static_cast<std::uint8_t>(i));
    return all;
  }();
  return values;
}

}  // namespace ptx_emulator::tensor
