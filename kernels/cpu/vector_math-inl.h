// The exponential on vectors of float; compiled once for each instruction set.

// clang-format off
#if defined(OVID_KERNELS_CPU_VECTOR_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef OVID_KERNELS_CPU_VECTOR_MATH_INL_H_
#undef OVID_KERNELS_CPU_VECTOR_MATH_INL_H_
#else
#define OVID_KERNELS_CPU_VECTOR_MATH_INL_H_
#endif
// clang-format on

#include <cstdint>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

// e^x for -kExpBound <= x <= kExpBound, where it is a normal float; NaN stays NaN. Elsewhere the
// result means nothing.
//
// x = n log 2 + r with |r| <= (log 2) / 2, e^x = 2^n e^r. Added to 1.5 * 2^23 + 127, x / log 2 is
// rounded to the integer n, and the sum's low bits are n + 127, the exponent of 2^n. 2^n is
// multiplied, not added to the exponent of e^r, so that a NaN stays one whatever its bits.
// log 2 is split in two so that n times its upper part is exact. e^r = 1 + r + r^2 q(r), with q of
// degree 4 through e^r's own q at the five Chebyshev points of the interval: off by 0.16 of 2^-24.
// With all roundings the relative error is below 1.5 of 2^-24 (300,000 random x).
inline constexpr float kExpBound = 87.3f;

template <class D, class V>
HWY_INLINE V exp_within_bound(D d, V x) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::RebindToUnsigned<D> bits;
  const V magic = hn::Set(d, 12583039.0f);
  const V sum = hn::MulAdd(x, hn::Set(d, 1.44269504f), magic);
  const V n = hn::Sub(sum, magic);
  V r = hn::NegMulAdd(n, hn::Set(d, 0.693145752f), x);
  r = hn::NegMulAdd(n, hn::Set(d, 1.42860677e-06f), r);
  V q = hn::Set(d, 0.00139261759f);
  q = hn::MulAdd(q, r, hn::Set(d, 0.00836317334f));
  q = hn::MulAdd(q, r, hn::Set(d, 0.0416665561f));
  q = hn::MulAdd(q, r, hn::Set(d, 0.166665778f));
  q = hn::MulAdd(q, r, hn::Set(d, 0.5f));
  const V e_r = hn::Add(hn::MulAdd(hn::Mul(r, r), q, r), hn::Set(d, 1.0f));
  return hn::Mul(e_r, hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(bits, sum))));
}

// x held between `least` and `most`; NaN stays NaN. x86's minimum and maximum return their second
// operand where one is NaN; elsewhere they may drop it.
template <class D, class V>
HWY_INLINE V clamped(D d, V x, float least, float most) {
  namespace hn = hwy::HWY_NAMESPACE;
  const V low = hn::Set(d, least), high = hn::Set(d, most);
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
  return hn::Max(low, hn::Min(high, x));
#else
  return hn::IfThenElse(hn::Gt(x, high), high, hn::IfThenElse(hn::Lt(x, low), low, x));
#endif
}

// e^x for x <= 0, or above it by what rounding leaves: softmax's exponentials. Below -kExpBound,
// and for -infinity, it is 0, which is off by less than 1.3e-38; NaN stays NaN.
template <class D, class V>
HWY_INLINE V exp_of_nonpositive(D d, V x) {
  namespace hn = hwy::HWY_NAMESPACE;
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -kExpBound)), exp_within_bound(d, x));
}

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif  // the toggling guard
