#pragma once

#include <cstdint>

#include "kernels/common/dropout_mask.h"

// The formula of dropout.h in plain loops: the oracle of the tests, and the text to read first. The
// gradient is the same map applied to d_out.
namespace ovid::kernels::reference {

template <class Real>
void dropout_forward(const Real* in, Real* out, std::int64_t count, const DropoutMask& mask) {
  for (std::int64_t i = 0; i < count; ++i) {
    out[i] = in[i] * static_cast<Real>(mask.factor(static_cast<std::uint64_t>(i)));
  }
}

template <class Real>
void dropout_backward(const Real* d_out, Real* d_in, std::int64_t count, const DropoutMask& mask) {
  dropout_forward(d_out, d_in, count, mask);
}

}  // namespace ovid::kernels::reference
