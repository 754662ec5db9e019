#pragma once

#include <cstdint>

#include "kernels/common/random.h"

namespace ovid::kernels {

// Inverted dropout (Srivastava et al. 2014): each element is kept with probability 1 - p and then
// scaled by 1 / (1 - p). Which are kept is a pure function of the stream and the element's index in
// C order, so that the backward pass draws the same mask again instead of storing it, and no number
// of threads changes it.
struct DropoutMask {
  float probability = 0.0f;  // in [0, 1)
  RandomStream stream;

  OVID_HOST_DEVICE float keep_scale() const { return 1.0f / (1.0f - probability); }
  // 0 or 1 / (1 - p) for elements 4 * quad .. 4 * quad + 3.
  OVID_HOST_DEVICE void factors(std::uint64_t quad, float (&out)[4]) const {
    const Philox4x32 words = random_words(stream, quad);
    for (std::size_t i = 0; i < 4; ++i) {
      out[i] = uniform_float(words[i]) >= probability ? keep_scale() : 0.0f;
    }
  }
  OVID_HOST_DEVICE float factor(std::uint64_t index) const {
    float quad[4];
    factors(index / 4, quad);
    return quad[index % 4];
  }
};

}  // namespace ovid::kernels
