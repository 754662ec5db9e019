#pragma once

#include <cstdint>

#include "kernels/common/stochastic_rounding.h"

// Which random bits round an element of AdamW's 16-bit copy: a pure function of the stream and the
// element's index in it. One draw of 128 bits serves eight elements with 16 bits each, as drawing
// would else be most of the kernel's work: those of quads q and q + kDrawDistance (a quad is four
// consecutive elements), which one thread has.
namespace ovid::kernels {

inline constexpr std::uint64_t kDrawDistance = 256;
// Elements among which draws are shared.
inline constexpr std::uint64_t kDrawGroup = 2 * 4 * kDrawDistance;

// The draw of a quad, and which half of its words.
struct RoundingDraw {
  std::uint64_t counter;
  bool upper_half;
};
OVID_HOST_DEVICE inline RoundingDraw rounding_draw(std::uint64_t quad) {
  const std::uint64_t group = quad / (2 * kDrawDistance);
  return {.counter = group * kDrawDistance + quad % kDrawDistance,
          .upper_half = quad / kDrawDistance % 2 == 1};
}

// An element's 16 bits of its draw's word.
OVID_HOST_DEVICE inline std::uint32_t rounding_bits(std::uint32_t word, bool upper_half) {
  return upper_half ? word >> 16 : word & 0xFFFFu;
}

// Moments in bfloat16 take the four words at quad q of a stream of their own, 32 bits an element:
// the lower 16 round the first moment, the upper 16 the second, so that their errors are
// independent.
OVID_HOST_DEVICE inline std::uint16_t round_first_moment(std::uint32_t word, float m) {
  return round_to_bfloat16(m, word);
}
OVID_HOST_DEVICE inline std::uint16_t round_second_moment(std::uint32_t word, float v) {
  return round_to_bfloat16(v, word >> 16);
}

// `bits` of 16 are all that rounding to bfloat16 takes. To float16 it takes 13, but up to 32 from
// the top where the result is a denormal.
OVID_HOST_DEVICE inline std::uint16_t round_to_bfloat16_by(std::uint32_t bits, float x) {
  return round_to_bfloat16(x, bits);
}
OVID_HOST_DEVICE inline std::uint16_t round_to_float16_by(std::uint32_t bits, float x) {
  return round_to_float16(x, bits << 16 | bits);
}

}  // namespace ovid::kernels
