// GELU and its derivative on vectors, for the ops gelu and linear; compiled once for each
// instruction set.

// clang-format off
#if defined(OVID_KERNELS_CPU_GELU_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef OVID_KERNELS_CPU_GELU_INL_H_
#undef OVID_KERNELS_CPU_GELU_INL_H_
#else
#define OVID_KERNELS_CPU_GELU_INL_H_
#endif
// clang-format on

#include "hwy/highway.h"
#include "kernels/cpu/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

// (1 + tanh(y)) / 2 = 1 / (1 + exp(-2 y)) = s, so that gelu(u) = u s with 2 y = u (a + b u^2),
// a = 2 sqrt(2 / pi), b = 0.044715 a. Errors in units of 2^-24: 1.5 of the exponential, 3 |2 y|
// more by the rounding of 2 y, and 3 of sum, quotient and product. So gelu(u) is off by 15 units of
// itself at u = -2 and below 1e-7 in absolute terms left of it, where it decays faster than |2 y|
// grows.
//
// Beyond |u| = 9.99 the function is u or 0 to within 1e-36, and exp(-2 y) leaves float's range.
inline constexpr float kGeluSlope = 1.5957691216057308f;
inline constexpr float kGeluCubic = 0.0713548162726009f;
inline constexpr float kGeluEnd = 9.99f;
// Within it exp_within_bound still works as wanted here: from 88.4 on 2^128 overflows, the result
// is infinite, and s is 0.
inline constexpr float kGeluExponentBound = 88.9f;

// -2 y
template <class D, class V>
HWY_INLINE V gelu_exponent(D d, V u) {
  namespace hn = hwy::HWY_NAMESPACE;
  const V slope = hn::MulAdd(hn::Set(d, -kGeluCubic), hn::Mul(u, u), hn::Set(d, -kGeluSlope));
  return hn::Mul(u, slope);
}

template <class D, class V>
HWY_INLINE V gelu(D d, V u) {
  namespace hn = hwy::HWY_NAMESPACE;
  const V one = hn::Set(d, 1.0f);
  const V exponent = clamped(d, gelu_exponent(d, u), -kExpBound, kGeluExponentBound);
  return hn::Mul(u, hn::Div(one, hn::Add(one, exp_within_bound(d, exponent))));
}

// s + u s (1 - s) (a + 3 b u^2); 1 - s is exp(-2 y) s, which does not cancel.
template <class D, class V>
HWY_INLINE V gelu_derivative(D d, V unbounded) {
  namespace hn = hwy::HWY_NAMESPACE;
  const V u = clamped(d, unbounded, -kGeluEnd, kGeluEnd);
  const V one = hn::Set(d, 1.0f);
  const V e = exp_within_bound(d, gelu_exponent(d, u));
  const V s = hn::Div(one, hn::Add(one, e));
  const V slope = hn::MulAdd(hn::Set(d, 3.0f * kGeluCubic), hn::Mul(u, u), hn::Set(d, kGeluSlope));
  return hn::MulAdd(hn::Mul(hn::Mul(e, s), s), hn::Mul(u, slope), s);
}

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif  // the toggling guard
