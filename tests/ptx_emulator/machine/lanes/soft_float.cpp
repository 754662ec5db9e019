#include "tests/ptx_emulator/machine/lanes/soft_float.h"

#include <stdexcept>

namespace ptx_emulator::lanes {
namespace {

using ptx::Type;

struct Format {
  std::int32_t exponent_bits, fraction_bits;
  std::int32_t padding;    // unused bits below the fraction (tf32)
  bool has_infinity;       // e4m3 has none, and one NaN
  std::uint64_t nan_bits;  // canonical

  std::int32_t bias() const { return (1 << (exponent_bits - 1)) - 1; }
  std::int32_t sign_shift() const { return exponent_bits + fraction_bits + padding; }
  std::int32_t largest_exponent() const {
    return (1 << exponent_bits) - (has_infinity ? 2 : 1) - bias();
  }
  std::uint64_t largest() const {
    const std::uint64_t top = std::uint64_t{1} << (exponent_bits + fraction_bits);
    const std::uint64_t code =
        has_infinity ? top - (std::uint64_t{1} << fraction_bits) - 1 : top - 2;
    return code << padding;
  }
  std::uint64_t infinity() const {
    return ((std::uint64_t{1} << exponent_bits) - 1) << (fraction_bits + padding);
  }
};

Format format_of(Type type) {
  switch (type) {
    case Type::kF16:
      return {5, 10, 0, true, 0x7FFF};
    case Type::kBf16:
      return {8, 7, 0, true, 0x7FFF};
    case Type::kTf32:
      return {8, 10, 13, true, 0x7FFFFFFF};
    case Type::kF32:
      return {8, 23, 0, true, 0x7FFFFFFF};
    case Type::kF64:
      return {11, 52, 0, true, 0xFFF8000000000000};
    case Type::kE4m3:
      return {4, 3, 0, false, 0x7F};
    case Type::kE5m2:
      return {5, 2, 0, true, 0x7F};
    default:
      throw std::logic_error("no floating type");
  }
}

// Shifts a finite significand to its top bit.
void normalise(Unpacked& number) {
  const int shift = __builtin_clzll(number.significand);
  number.significand <<= shift;
  number.exponent -= shift;
}

// Whether to add one to the kept bits, given what was cut off against one half of the last place.
bool rounds_up(Rounding rounding, bool negative, bool odd, int against_half, bool inexact) {
  switch (rounding) {
    case Rounding::kNearestEven:
      return against_half > 0 || (against_half == 0 && odd);
    case Rounding::kNearestAway:
      return against_half >= 0;
    case Rounding::kZero:
      return false;
    case Rounding::kDown:
      return negative && inexact;
    case Rounding::kUp:
      return !negative && inexact;
  }
  return false;
}

// significand / 2^shift, rounded; shift > 0.
std::uint64_t shift_rounded(std::uint64_t significand, int shift, Rounding rounding,
                            bool negative) {
  if (shift > 64) {
    return rounds_up(rounding, negative, false, -1, significand != 0) ? 1 : 0;
  }
  const std::uint64_t kept = shift == 64 ? 0 : significand >> shift;
  const std::uint64_t cut =
      shift == 64 ? significand : significand & ((std::uint64_t{1} << shift) - 1);
  const std::uint64_t half = std::uint64_t{1} << (shift - 1);
  const int against_half = cut == half ? 0 : (cut > half ? 1 : -1);
  return kept + (rounds_up(rounding, negative, (kept & 1) != 0, against_half, cut != 0) ? 1 : 0);
}

Unpacked unpack_integer(Type type, std::uint64_t bits) {
  const std::uint32_t width = ptx::bits_of(type);
  Unpacked number;
  std::uint64_t value = width == 64 ? bits : bits & ((std::uint64_t{1} << width) - 1);
  if (is_signed(type) && (value >> (width - 1) & 1) != 0) {
    number.negative = true;
    value = width == 64 ? 0 - value : (std::uint64_t{1} << width) - value;
  }
  if (value == 0) return number;
  number.kind = Unpacked::Kind::kFinite;
  number.significand = value;
  number.exponent = 63;
  normalise(number);
  return number;
}

}  // namespace

bool is_floating(Type type) {
  switch (type) {
    case Type::kF16:
    case Type::kBf16:
    case Type::kTf32:
    case Type::kF32:
    case Type::kF64:
    case Type::kE4m3:
    case Type::kE5m2:
      return true;
    default:
      return false;
  }
}

bool is_signed(Type type) {
  return type == Type::kS8 || type == Type::kS16 || type == Type::kS32 || type == Type::kS64;
}

Unpacked unpack(Type type, std::uint64_t bits) {
  if (!is_floating(type)) return unpack_integer(type, bits);
  const Format format = format_of(type);
  Unpacked number;
  number.negative = (bits >> format.sign_shift() & 1) != 0;
  const std::uint64_t code = bits >> format.padding;
  const std::uint64_t fraction = code & ((std::uint64_t{1} << format.fraction_bits) - 1);
  const std::int32_t biased = static_cast<std::int32_t>(
      code >> format.fraction_bits & ((std::uint64_t{1} << format.exponent_bits) - 1));
  const bool top = biased == (1 << format.exponent_bits) - 1;
  if (format.has_infinity && top) {
    number.kind = fraction == 0 ? Unpacked::Kind::kInfinite : Unpacked::Kind::kNan;
  } else if (!format.has_infinity && top && fraction == (1u << format.fraction_bits) - 1) {
    number.kind = Unpacked::Kind::kNan;
  } else if (biased != 0 || fraction != 0) {
    number.kind = Unpacked::Kind::kFinite;
    const std::uint64_t hidden = biased == 0 ? 0 : std::uint64_t{1} << format.fraction_bits;
    number.significand = hidden | fraction;
    number.exponent = (biased == 0 ? 1 : biased) - format.bias() - format.fraction_bits + 63;
    normalise(number);
  }
  return number;
}

std::uint64_t pack(Type type, const Unpacked& number, Rounding rounding, bool satfinite) {
  const Format format = format_of(type);
  const std::uint64_t sign = std::uint64_t{number.negative} << format.sign_shift();
  switch (number.kind) {
    case Unpacked::Kind::kZero:
      return sign;
    case Unpacked::Kind::kNan:
      return format.nan_bits;
    case Unpacked::Kind::kInfinite:
      if (satfinite) return sign | format.largest();
      return format.has_infinity ? sign | format.infinity() : format.nan_bits;
    case Unpacked::Kind::kFinite:
      break;
  }
  const std::int32_t smallest = 1 - format.bias();  // exponent of the least normal number
  const bool tiny = number.exponent < smallest;
  const int shift = 63 - format.fraction_bits + (tiny ? smallest - number.exponent : 0);
  const std::uint64_t kept = shift_rounded(number.significand, shift, rounding, number.negative);
  // The hidden bit adds one to the exponent field; a carry out of the fraction does so as well.
  const std::int32_t biased = tiny ? 0 : number.exponent + format.bias() - 1;
  const std::uint64_t limit = format.largest() >> format.padding;
  std::uint64_t code = 0;
  const bool too_large =
      number.exponent > format.largest_exponent() ||
      (code = (static_cast<std::uint64_t>(biased) << format.fraction_bits) + kept) > limit;
  if (!too_large) return sign | code << format.padding;
  const bool to_largest = satfinite || rounding == Rounding::kZero ||
                          (rounding == Rounding::kDown && !number.negative) ||
                          (rounding == Rounding::kUp && number.negative);
  if (to_largest) return sign | format.largest();
  return format.has_infinity ? sign | format.infinity() : format.nan_bits;
}

Unpacked round_to_whole(const Unpacked& number, Rounding rounding) {
  if (number.kind != Unpacked::Kind::kFinite || number.exponent >= 63) return number;
  Unpacked whole = number;
  whole.significand =
      shift_rounded(number.significand, 63 - number.exponent, rounding, number.negative);
  whole.exponent = 63;
  if (whole.significand == 0) {
    whole.kind = Unpacked::Kind::kZero;
  } else {
    normalise(whole);
  }
  return whole;
}

std::uint64_t to_integer(Type type, const Unpacked& whole) {
  const std::uint32_t width = ptx::bits_of(type);
  const std::uint64_t ones = ~std::uint64_t{0} >> (64 - width);
  const std::uint64_t most = is_signed(type) ? ones >> 1 : ones;
  const std::uint64_t least_magnitude = is_signed(type) ? most + 1 : 0;
  if (whole.kind == Unpacked::Kind::kZero) return 0;
  const std::uint64_t limit = whole.negative ? least_magnitude : most;
  std::uint64_t magnitude = limit;
  if (whole.kind == Unpacked::Kind::kFinite && whole.exponent <= 63) {
    const std::uint64_t value = whole.exponent < 0 ? 0 : whole.significand >> (63 - whole.exponent);
    if (value < limit) magnitude = value;
  }
  return whole.negative ? 0 - magnitude : magnitude;
}

namespace {

// Denormals of f32 flushed, where .ftz says so.
std::uint64_t flush(Type type, bool ftz, std::uint64_t bits) {
  const bool denormal = (bits & 0x7F800000u) == 0;
  return ftz && type == Type::kF32 && denormal ? bits & 0x80000000u : bits;
}

std::uint64_t nan_to_integer(const Conversion& conversion) {
  const std::uint32_t width = ptx::bits_of(conversion.to);
  // The manual: 0, but where 64 bits are involved the top bit of the type.
  if (conversion.from != Type::kF64 && width != 64) return 0;
  const std::uint64_t top = std::uint64_t{1} << (width - 1);
  return is_signed(conversion.to) ? 0 - top : top;
}

// [0, 1] for .sat, [0, inf) for .relu.
void clamp(Unpacked& number, const Conversion& conversion) {
  const bool is_nan = number.kind == Unpacked::Kind::kNan;
  if (conversion.sat && (is_nan || number.negative)) number = Unpacked{};
  if (conversion.relu && number.negative && !is_nan) number = Unpacked{};
  const bool large = number.kind == Unpacked::Kind::kInfinite ||
                     (number.kind == Unpacked::Kind::kFinite && number.exponent >= 0);
  if (conversion.sat && large) {
    number = {.kind = Unpacked::Kind::kFinite, .significand = std::uint64_t{1} << 63};
  }
}

}  // namespace

std::uint64_t convert(const Conversion& conversion, std::uint64_t bits) {
  Unpacked number = unpack(conversion.from, flush(conversion.from, conversion.ftz, bits));
  const bool from_integer = !is_floating(conversion.from);
  if (!is_floating(conversion.to)) {
    if (from_integer && !conversion.sat) {
      // Modulo the width: the bits of the sign-extended source, extended again from what the
      // destination keeps.
      const std::uint64_t magnitude =
          number.kind == Unpacked::Kind::kZero ? 0 : number.significand >> (63 - number.exponent);
      const std::uint64_t value = number.negative ? 0 - magnitude : magnitude;
      const int unused = 64 - static_cast<int>(ptx::bits_of(conversion.to));
      return is_signed(conversion.to)
                 ? static_cast<std::uint64_t>(static_cast<std::int64_t>(value << unused) >> unused)
                 : value << unused >> unused;
    }
    if (number.kind == Unpacked::Kind::kNan) return nan_to_integer(conversion);
    return to_integer(conversion.to, round_to_whole(number, conversion.rounding));
  }
  if (conversion.to_whole) number = round_to_whole(number, conversion.rounding);
  clamp(number, conversion);
  const std::uint64_t packed =
      pack(conversion.to, number, conversion.rounding, conversion.satfinite);
  return flush(conversion.to, conversion.ftz, packed);
}

}  // namespace ptx_emulator::lanes
