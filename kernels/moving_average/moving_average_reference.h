#pragma once

#include <cstdint>

// The formula of moving_average.h in plain loops: the oracle of the tests, and the text to read
// first.
namespace ovid::kernels::reference {

template <class Real>
void moving_average_update(const Real* value, Real* average, std::int64_t count, Real decay) {
  for (std::int64_t i = 0; i < count; ++i) {
    average[i] = average[i] + (Real{1} - decay) * (value[i] - average[i]);
  }
}

}  // namespace ovid::kernels::reference
