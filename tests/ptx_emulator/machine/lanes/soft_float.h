#pragma once
// Conversions between any two number formats with any rounding, one value at a time, by integer
// arithmetic alone. Slow and general: what the lane loops of convert.cpp do not have goes through
// here.

#include <cstdint>

#include "tests/ptx_emulator/ptx/module.h"

namespace ptx_emulator::lanes {

enum class Rounding : std::uint8_t {
  kNearestEven,
  kZero,
  kDown,
  kUp,
  kNearestAway,  // .rna: ties away from zero
};

// A number as sign, significand and exponent: (-1)^negative * significand * 2^(exponent - 63), the
// significand's top bit being set where the kind is kFinite.
struct Unpacked {
  enum class Kind : std::uint8_t { kZero, kFinite, kInfinite, kNan };
  Kind kind = Kind::kZero;
  bool negative = false;
  std::uint64_t significand = 0;
  std::int32_t exponent = 0;
};

// The bits of an integer or floating type to a number.
Unpacked unpack(ptx::Type type, std::uint64_t bits);

// A number to the bits of a floating type. Overflow goes where the rounding says: to infinity, or
// to the largest finite value; with `satfinite`, always to that, and infinities too. NaN gives the
// type's canonical one.
std::uint64_t pack(ptx::Type type, const Unpacked& number, Rounding rounding, bool satfinite);

// The number rounded to an integer, still as a number.
Unpacked round_to_whole(const Unpacked& number, Rounding rounding);

// A whole number to the bits of an integer type, clamped to its range (not: modulo). NaN is the
// caller's business.
std::uint64_t to_integer(ptx::Type type, const Unpacked& whole);

bool is_floating(ptx::Type type);
bool is_signed(ptx::Type type);

// One cvt, as its modifiers say.
struct Conversion {
  ptx::Type to = ptx::Type::kNone, from = ptx::Type::kNone;
  Rounding rounding = Rounding::kNearestEven;
  bool to_whole = false;  // .rni and the like
  bool ftz = false, sat = false, relu = false, satfinite = false;
};

// The bits that `cvt` makes of a source value's bits. Integer results are sign- or zero-extended to
// 64 bits.
std::uint64_t convert(const Conversion& conversion, std::uint64_t bits);

}  // namespace ptx_emulator::lanes
