#pragma once

#include <cmath>
#include <limits>

// Rounding to a narrower floating type by arithmetic instead of bits: the oracle of the tests, and
// the text to read first.
namespace ovid::kernels::reference {

struct FloatFormat {
  int significand_bits;   // with the hidden one
  int smallest_exponent;  // of a normal number 1.f * 2^e
  int largest_exponent;
};
inline constexpr FloatFormat kBfloat16Format{8, -126, 127};
inline constexpr FloatFormat kFloat16Format{11, -14, 15};

// The nearest number of the format, ties to even; infinity beyond its largest; NaN stays NaN.
template <class Real>
Real round_to(const FloatFormat& format, Real x) {
  if (!std::isfinite(x) || x == Real(0)) return x;
  int exponent = std::ilogb(x);
  if (exponent < format.smallest_exponent) exponent = format.smallest_exponent;  // denormal
  const int unit = exponent - (format.significand_bits - 1);
  // nearbyint rounds ties to even in the default rounding mode.
  const Real rounded = std::ldexp(std::nearbyint(std::ldexp(x, -unit)), unit);
  if (std::abs(rounded) >= std::ldexp(Real(1), format.largest_exponent + 1)) {
    return std::copysign(std::numeric_limits<Real>::infinity(), x);
  }
  return rounded;
}

}  // namespace ovid::kernels::reference
