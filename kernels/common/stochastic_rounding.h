#pragma once

#include <bit>
#include <cstdint>

#include "kernels/common/random.h"

// Rounding of a float32 to one of its two neighbours in a 16-bit format, up or down at random so
// that the mean is the number itself (Gupta et al., "Deep learning with limited numerical
// precision", 2015). Weights that are kept in 16 bits then do not lose the updates that are smaller
// than half a unit of theirs. The same bits on the host and on the device.
namespace ovid::kernels {

// The random word of element `index` of a stream: word index mod 4 of the four at index / 4, so
// that whoever rounds four consecutive elements draws once.
OVID_HOST_DEVICE inline std::uint32_t rounding_word(const RandomStream& stream,
                                                    std::uint64_t index) {
  return random_words(stream, index / 4)[index % 4];
}

// The bits of x rounded to bfloat16: away from zero with the probability that x lies that far, in
// steps of 2^-16, between its neighbours; random_bits is uniform over 32 bits. What bfloat16 holds
// stays, infinities too; NaN stays NaN; beyond the largest number the neighbour is infinity.
OVID_HOST_DEVICE inline std::uint16_t round_to_bfloat16(float x, std::uint32_t random_bits) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const bool is_nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
  // A carry out of the lower half is the step up, also from one exponent to the next.
  const std::uint32_t rounded = is_nan ? bits | 0x00400000u : bits + (random_bits & 0xFFFFu);
  return static_cast<std::uint16_t>(rounded >> 16);
}

// The same for float16, whose denormals are multiples of 2^-24: there in steps of 2^-32. Finite
// numbers of 65536 and more become infinity.
OVID_HOST_DEVICE inline std::uint16_t round_to_float16(float x, std::uint32_t random_bits) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
  std::uint32_t half = 0;
  if (magnitude > 0x7F800000u) {
    half = 0x7E00u | ((magnitude >> 13) & 0x3FFu);  // NaN, made quiet
  } else if (magnitude >= 0x47800000u) {
    half = 0x7C00u;
  } else if (magnitude >= 0x38800000u) {
    // From 2^-14: the exponent's bias 127 becomes 15, and 13 bits go; a carry is the step up.
    half = (magnitude - (112u << 23) + (random_bits & 0x1FFFu)) >> 13;
  } else {
    // significand 2^-shift in units of 2^-24; a float's own denormals round to 0.
    const std::uint32_t exponent = magnitude >> 23, shift = 126u - exponent;
    const std::uint32_t significand = (magnitude & 0x7FFFFFu) | 0x800000u;
    if (shift < 32) {
      const std::uint32_t below = (1u << shift) - 1u;
      half = (significand >> shift) + ((significand & below) > (random_bits & below) ? 1u : 0u);
    } else if (exponent > 0 && shift < 56) {
      half = (significand >> (shift - 32u)) > random_bits ? 1u : 0u;
    }
  }
  return static_cast<std::uint16_t>(sign | half);
}

}  // namespace ovid::kernels
