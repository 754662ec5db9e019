#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/adamw/adamw_rounding.h"

// The formula of adamw.h in plain loops: the oracle of the tests, and the text to read first.
namespace ovid::kernels::reference {

struct AdamWSettings {
  double gradient_scale = 1.0;
  double learning_rate;
  double beta1;
  double beta2;
  double epsilon;
  double weight_decay;
  std::int64_t step;
};

template <class Real>
void adamw_update(Real* weight, const Real* gradient, Real* first_moment, Real* second_moment,
                  std::int64_t count, const AdamWSettings& s) {
  const double correction1 = 1.0 - std::pow(s.beta1, static_cast<double>(s.step));
  const double correction2 = 1.0 - std::pow(s.beta2, static_cast<double>(s.step));
  for (std::int64_t i = 0; i < count; ++i) {
    const double g = static_cast<double>(gradient[i]) * s.gradient_scale;
    const double m = s.beta1 * static_cast<double>(first_moment[i]) + (1.0 - s.beta1) * g;
    const double v = s.beta2 * static_cast<double>(second_moment[i]) + (1.0 - s.beta2) * g * g;
    const double decayed =
        static_cast<double>(weight[i]) * (1.0 - s.learning_rate * s.weight_decay);
    const double denominator = std::sqrt(v / correction2) + s.epsilon;
    first_moment[i] = static_cast<Real>(m);
    second_moment[i] = static_cast<Real>(v);
    weight[i] = static_cast<Real>(decayed - s.learning_rate * (m / correction1) / denominator);
  }
}

// What is stored of moments that are kept in bfloat16; element 0 is number first_index of `stream`.
inline void store_moments(const float* first_moment, const float* second_moment, std::int64_t count,
                          const RandomStream& stream, std::uint64_t first_index,
                          std::uint16_t* first_bits, std::uint16_t* second_bits) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t word = rounding_word(stream, first_index + static_cast<std::uint64_t>(i));
    first_bits[i] = round_first_moment(word, first_moment[i]);
    second_bits[i] = round_second_moment(word, second_moment[i]);
  }
}

}  // namespace ovid::kernels::reference
