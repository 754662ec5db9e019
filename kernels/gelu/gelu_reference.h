#pragma once

#include <cmath>
#include <cstdint>

// The formula of gelu.h in plain loops: the oracle of the tests, and the text to read first.
namespace ovid::kernels::reference {

template <class Real>
inline constexpr Real kSqrtTwoOverPi = Real(0.79788456080286535587989211986876L);
template <class Real>
inline constexpr Real kGeluCubicTerm = Real(0.044715L);

template <class Real>
void gelu_forward(const Real* in, Real* out, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const Real u = in[i];
    const Real t = std::tanh(kSqrtTwoOverPi<Real> * (u + kGeluCubicTerm<Real> * u * u * u));
    out[i] = u / 2 * (1 + t);  // (1)
  }
}

// By the product rule, with tanh' = 1 - tanh^2.
template <class Real>
void gelu_backward(const Real* d_out, const Real* in, Real* d_in, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const Real u = in[i];
    const Real t = std::tanh(kSqrtTwoOverPi<Real> * (u + kGeluCubicTerm<Real> * u * u * u));
    const Real d_argument = kSqrtTwoOverPi<Real> * (1 + 3 * kGeluCubicTerm<Real> * u * u);
    d_in[i] = d_out[i] * ((1 + t) / 2 + u / 2 * (1 - t * t) * d_argument);
  }
}

}  // namespace ovid::kernels::reference
