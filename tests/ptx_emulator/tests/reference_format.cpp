#include "tests/ptx_emulator/tests/reference_format.h"

#include <algorithm>
#include <cmath>

namespace ptx_emulator::testing {

ReferenceFormat::ReferenceFormat(u32 exponent_bits, u32 fraction_bits, bool has_infinity, u64 nan)
    : sign_shift_(exponent_bits + fraction_bits), has_infinity_(has_infinity), nan_(nan) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const u64 specials = has_infinity ? u64{1} << fraction_bits : 1;
  const u64 count = (u64{1} << sign_shift_) - specials;
  for (u64 code = 0; code < count; ++code) {
    const int exponent = static_cast<int>(code >> fraction_bits);
    const double fraction = static_cast<double>(code & ((u64{1} << fraction_bits) - 1));
    const double one = static_cast<double>(u64{1} << fraction_bits);
    values_.push_back(exponent == 0 ? std::ldexp(fraction / one, 1 - bias)
                                    : std::ldexp(1 + fraction / one, exponent - bias));
  }
}

u64 ReferenceFormat::encode(long double high, double low, Direction direction,
                            bool satfinite) const {
  if (std::isnan(high)) return nan_;
  const bool negative = std::signbit(high);
  const u64 sign = u64{negative} << sign_shift_;
  const u64 last = values_.size() - 1;
  const u64 beyond = sign | (satfinite ? last : (has_infinity_ ? last + 1 : nan_));
  const long double magnitude = std::fabs(high);
  const double rest = negative ? -low : low;
  if (std::isinf(high)) return beyond;
  // The code at or below the magnitude.
  u64 code = static_cast<u64>(
      std::upper_bound(values_.begin(), values_.end(), magnitude,
                       [](long double x, double y) { return x < static_cast<long double>(y); }) -
      values_.begin() - 1);
  if (magnitude == static_cast<long double>(values_[code]) && rest < 0 && code > 0) --code;
  const long double below = static_cast<long double>(values_[code]);
  const long double above = code < last
                                ? static_cast<long double>(values_[code + 1])
                                : below + (below - static_cast<long double>(values_[last - 1]));
  const bool exact = magnitude == below && rest == 0;
  const long double middle = (below + above) / 2;
  const bool over_half = magnitude > middle || (magnitude == middle && rest > 0);
  const bool tie = magnitude == middle && rest == 0;
  bool up = false;
  switch (direction) {
    case Direction::kNearestEven:
      up = over_half || (tie && (code & 1u) != 0);
      break;
    case Direction::kNearestAway:
      up = over_half || tie;
      break;
    case Direction::kZero:
      break;
    case Direction::kDown:
      up = negative && !exact;
      break;
    case Direction::kUp:
      up = !negative && !exact;
      break;
  }
  if (code == last && up) return beyond;
  return sign | (code + (up ? 1 : 0));
}

double ReferenceFormat::decode(u64 code) const {
  const u64 magnitude = code & ((u64{1} << sign_shift_) - 1);
  const bool negative = (code >> sign_shift_ & 1u) != 0;
  double value = std::nan("");
  if (magnitude < values_.size()) value = values_[magnitude];
  if (has_infinity_ && magnitude == values_.size()) value = INFINITY;
  return negative ? -value : value;
}

const ReferenceFormat& reference_f16() {
  static const ReferenceFormat format(5, 10, true, 0x7FFF);
  return format;
}
const ReferenceFormat& reference_bf16() {
  static const ReferenceFormat format(8, 7, true, 0x7FFF);
  return format;
}
const ReferenceFormat& reference_e4m3() {
  static const ReferenceFormat format(4, 3, false, 0x7F);
  return format;
}
const ReferenceFormat& reference_e5m2() {
  static const ReferenceFormat format(5, 2, true, 0x7F);
  return format;
}
const ReferenceFormat& reference_tf32() {
  static const ReferenceFormat format(8, 10, true, 0x3FFFF);
  return format;
}

}  // namespace ptx_emulator::testing
