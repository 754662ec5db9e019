#pragma once

#include <cstdint>

// The formula of gradient_norm.h in plain loops: the oracle of the tests, and the text to read
// first.
namespace ovid::kernels::reference {

template <class Real>
double sum_of_squares(const Real* gradient, std::int64_t count) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < count; ++i) {
    sum += static_cast<double>(gradient[i]) * static_cast<double>(gradient[i]);
  }
  return sum;
}

}  // namespace ovid::kernels::reference
