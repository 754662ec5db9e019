// cvt between all types, roundings and register widths against arithmetic in long double and tables
// of narrow formats.

#include <cfenv>
#include <cmath>

#include "tests/catch.h"
#include "tests/ptx_emulator/tests/opcode_harness.h"
#include "tests/ptx_emulator/tests/reference_format.h"

namespace ptx_emulator::testing {
namespace {

struct IntegerType {
  const char* name;
  u32 bits;
  bool is_signed;
};
constexpr IntegerType kIntegers[] = {{"u8", 8, false},   {"s8", 8, true},    {"u16", 16, false},
                                     {"s16", 16, true},  {"u32", 32, false}, {"s32", 32, true},
                                     {"u64", 64, false}, {"s64", 64, true}};
char letter_of(u32 bits) {
  return bits <= 16 ? 'h' : (bits == 32 ? 'w' : 'd');
}
u32 bits_of(char letter) {
  return letter == 'h' ? 16 : (letter == 'w' || letter == 'f' ? 32 : 64);
}

// A long double holds every integer of 64 bits and every float exactly.
long double integer_value(const IntegerType& type, u64 bits) {
  const u64 kept = type.bits == 64 ? bits : bits & ((u64{1} << type.bits) - 1);
  const bool negative = type.is_signed && (kept >> (type.bits - 1) & 1u) != 0;
  return negative ? static_cast<long double>(kept) - std::ldexp(1.0L, static_cast<int>(type.bits))
                  : static_cast<long double>(kept);
}
// A whole number within the range of the type to its bits, sign-extended.
u64 integer_bits(long double whole) {
  return whole < 0 ? 0 - static_cast<u64>(-whole) : static_cast<u64>(whole);
}
u64 clamped_bits(const IntegerType& type, long double whole) {
  const long double span = std::ldexp(1.0L, static_cast<int>(type.bits));
  const long double least = type.is_signed ? -span / 2 : 0,
                    most = (type.is_signed ? span / 2 : span) - 1;
  return integer_bits(std::fmin(std::fmax(whole, least), most));
}

enum class Mode { kNearest, kZero, kDown, kUp };
constexpr std::pair<const char*, Mode> kModes[] = {
    {"rn", Mode::kNearest}, {"rz", Mode::kZero}, {"rm", Mode::kDown}, {"rp", Mode::kUp}};
Direction direction_of(Mode mode) {
  switch (mode) {
    case Mode::kNearest:
      return Direction::kNearestEven;
    case Mode::kZero:
      return Direction::kZero;
    case Mode::kDown:
      return Direction::kDown;
    case Mode::kUp:
      return Direction::kUp;
  }
  return Direction::kZero;
}
long double whole(Mode mode, long double x) {
  switch (mode) {
    case Mode::kNearest:
      return std::nearbyint(x);
    case Mode::kZero:
      return std::trunc(x);
    case Mode::kDown:
      return std::floor(x);
    case Mode::kUp:
      return std::ceil(x);
  }
  return x;
}
template <typename T>
T host_round(Mode mode, long double x) {
  const int kHost[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
  volatile long double from = x;
  std::fesetround(kHost[static_cast<int>(mode)]);
  volatile T value = static_cast<T>(from);
  std::fesetround(FE_TONEAREST);
  return value;
}

struct FloatType {
  const char* name;
  char letter;
};
constexpr FloatType kFloats[] = {{"f16", 'h'}, {"bf16", 'h'}, {"f32", 'f'}, {"f64", 'g'}};
bool is(const FloatType& type, const char* name) {
  return std::string(type.name) == name;
}

long double float_value(const FloatType& type, u64 bits, bool ftz) {
  if (is(type, "f16")) return static_cast<long double>(reference_f16().decode(bits));
  if (is(type, "bf16")) return static_cast<long double>(reference_bf16().decode(bits));
  if (is(type, "f64")) return static_cast<long double>(to_double(bits));
  if (ftz && (bits & 0x7F800000u) == 0) bits &= 0x80000000u;
  return static_cast<long double>(to_float(bits));
}
u64 float_bits(const FloatType& type, long double x, Mode mode, bool ftz) {
  if (is(type, "f16")) return reference_f16().encode(x, direction_of(mode));
  if (is(type, "bf16")) return reference_bf16().encode(x, direction_of(mode));
  if (is(type, "f64"))
    return std::isnan(x) ? 0xFFF8000000000000u : of_double(host_round<double>(mode, x));
  const u64 bits = result(host_round<float>(mode, x));
  return ftz && (bits & 0x7F800000u) == 0 ? bits & 0x80000000u : bits;
}

void check(const std::string& name, char to, char from, const std::function<u64(u64)>& reference) {
  check_cases({{name, {to, from}, [&](const Sources& s) { return reference(s[0]); }}});
}

}  // namespace

TEST_CASE("integers convert between all types and registers that may be wider", "[ptx]") {
  for (const IntegerType& to : kIntegers) {
    for (const IntegerType& from : kIntegers) {
      for (const char to_letter : {'h', 'w', 'd'}) {
        for (const char from_letter : {'h', 'w', 'd'}) {
          if (bits_of(to_letter) < to.bits || bits_of(from_letter) < from.bits) continue;
          check(std::string("cvt.") + to.name + "." + from.name, to_letter, from_letter,
                [&](u64 bits) {
                  const u64 modulo = integer_bits(integer_value(from, bits));
                  return integer_bits(integer_value(to, modulo));
                });
        }
      }
      check(std::string("cvt.sat.") + to.name + "." + from.name, letter_of(to.bits),
            letter_of(from.bits),
            [&](u64 bits) { return clamped_bits(to, integer_value(from, bits)); });
    }
  }
}

TEST_CASE("floats convert to integers, clamped, and NaN as the manual says", "[ptx]") {
  for (const IntegerType& to : kIntegers) {
    for (const FloatType& from : kFloats) {
      for (const auto& [mode_name, mode] : kModes) {
        for (const bool ftz : {false, true}) {
          if (ftz && !is(from, "f32")) continue;
          const Mode rounding = mode;
          const auto reference = [&](u64 bits) -> u64 {
            const long double x = float_value(from, bits, ftz);
            if (!std::isnan(x)) return clamped_bits(to, whole(rounding, x));
            const bool wide = is(from, "f64") || to.bits == 64;
            const u64 top = u64{1} << (to.bits - 1);
            return wide ? (to.is_signed ? 0 - top : top) : 0;
          };
          const std::string name = std::string("cvt.") + mode_name + "i" + (ftz ? ".ftz." : ".") +
                                   to.name + "." + from.name;
          check(name, letter_of(to.bits), from.letter, reference);
          if (to.bits < 32) check(name, 'w', from.letter, reference);
        }
      }
    }
  }
}

TEST_CASE("integers convert to floats in each rounding", "[ptx]") {
  for (const FloatType& to : kFloats) {
    for (const IntegerType& from : kIntegers) {
      for (const auto& [mode_name, mode] : kModes) {
        const Mode rounding = mode;
        const std::string types = std::string(".") + to.name + "." + from.name;
        check("cvt." + std::string(mode_name) + types, to.letter, letter_of(from.bits),
              [&](u64 bits) { return float_bits(to, integer_value(from, bits), rounding, false); });
        if (from.bits == 8) {
          check("cvt." + std::string(mode_name) + types, to.letter, 'w', [&](u64 bits) {
            return float_bits(to, integer_value(from, bits), rounding, false);
          });
        }
      }
    }
  }
}

TEST_CASE("floats convert to floats in each rounding", "[ptx]") {
  for (const FloatType& to : kFloats) {
    for (const FloatType& from : kFloats) {
      const bool exact =
          to.letter == 'g' || (to.letter == 'f' && from.letter != 'g') || is(to, from.name);
      for (const auto& [mode_name, mode] : kModes) {
        const Mode rounding = mode;
        for (const bool ftz : {false, true}) {
          if (ftz && to.letter != 'f' && from.letter != 'f') continue;
          const std::string head = std::string("cvt.") + (exact ? "" : mode_name);
          const std::string end = std::string(ftz ? ".ftz." : ".") + to.name + "." + from.name;
          check(exact ? "cvt" + end : head + end, to.letter, from.letter, [&](u64 bits) {
            return float_bits(to, float_value(from, bits, ftz), rounding, ftz);
          });
          check(exact ? "cvt" + std::string(ftz ? ".ftz" : "") + ".sat." + to.name + "." + from.name
                      : head + (ftz ? ".ftz" : "") + ".sat." + to.name + "." + from.name,
                to.letter, from.letter, [&](u64 bits) {
                  const long double x = float_value(from, bits, ftz);
                  const long double limited = std::isnan(x) || !(x > 0) ? 0 : std::fmin(x, 1.0L);
                  return float_bits(to, limited, rounding, ftz);
                });
          if (is(to, from.name)) {
            check("cvt." + std::string(mode_name) + "i" + end, to.letter, from.letter,
                  [&](u64 bits) {
                    const long double x = float_value(from, bits, ftz);
                    return float_bits(to, whole(rounding, x), rounding, ftz);
                  });
          }
        }
      }
    }
  }
}

namespace {

// Two f32 values to a pair of narrow ones.
struct Narrow {
  const char* type;
  const ReferenceFormat& (*format)();
  u32 bits;
};
constexpr Narrow kPairs[] = {{"f16x2", reference_f16, 16}, {"bf16x2", reference_bf16, 16}};
constexpr Narrow kEighths[] = {{"e4m3x2", reference_e4m3, 8}, {"e5m2x2", reference_e5m2, 8}};

u64 narrow(const Narrow& to, double x, Direction direction, bool relu, bool satfinite) {
  if (relu && x < 0) x = 0;
  if (relu && x == 0) x = 0.0;
  const long double value = relu && x == 0 ? 0.0L : static_cast<long double>(x);
  return to.format().encode(value, 0, direction, satfinite);
}

}  // namespace

TEST_CASE("pairs of floats convert to 16 and 8 bits", "[ptx]") {
  for (const bool relu : {false, true}) {
    for (const bool satfinite : {false, true}) {
      for (const bool to_zero : {false, true}) {
        for (const Narrow& to : kPairs) {
          const std::string name = std::string("cvt.") + (to_zero ? "rz" : "rn") +
                                   (relu ? ".relu" : "") + (satfinite ? ".satfinite." : ".") +
                                   to.type + ".f32";
          const Direction direction = to_zero ? Direction::kZero : Direction::kNearestEven;
          check_cases({{name, "wff", [&](const Sources& s) {
                          return narrow(to, double(to_float(s[0])), direction, relu, satfinite)
                                     << 16 |
                                 narrow(to, double(to_float(s[1])), direction, relu, satfinite);
                        }}});
        }
      }
    }
    for (const Narrow& to : kEighths) {
      const std::string head = std::string("cvt.rn.satfinite") + (relu ? ".relu." : ".") + to.type;
      check_cases({{head + ".f32", "hff",
                    [&](const Sources& s) {
                      const Direction d = Direction::kNearestEven;
                      return narrow(to, double(to_float(s[0])), d, relu, true) << 8 |
                             narrow(to, double(to_float(s[1])), d, relu, true);
                    }},
                   {head + ".f16x2", "hw",
                    [&](const Sources& s) {
                      const Direction d = Direction::kNearestEven;
                      const ReferenceFormat& f16 = reference_f16();
                      return narrow(to, f16.decode(s[0] >> 16), d, relu, true) << 8 |
                             narrow(to, f16.decode(s[0] & 0xFFFFu), d, relu, true);
                    }},
                   {std::string("cvt.rn") + (relu ? ".relu" : "") + ".f16x2." + to.type, "wh",
                    [&](const Sources& s) {
                      const Direction d = Direction::kNearestEven;
                      const Narrow f16 = kPairs[0];
                      return narrow(f16, to.format().decode(s[0] >> 8), d, relu, false) << 16 |
                             narrow(f16, to.format().decode(s[0] & 0xFFu), d, relu, false);
                    }}});
    }
  }
}

TEST_CASE("tf32 keeps ten bits of fraction, rounded as asked", "[ptx]") {
  struct Form {
    const char* name;
    Direction direction;
  };
  for (const Form& form :
       {Form{"cvt.rna", Direction::kNearestAway}, Form{"cvt.rn", Direction::kNearestEven},
        Form{"cvt.rz", Direction::kZero}}) {
    for (const bool satfinite : {false, true}) {
      check(std::string(form.name) + (satfinite ? ".satfinite.tf32.f32" : ".tf32.f32"), 'w', 'f',
            [&](u64 bits) -> u64 {
              const long double x = static_cast<long double>(to_float(bits));
              if (std::isnan(x)) return 0x7FFFFFFF;
              return reference_tf32().encode(x, 0, form.direction, satfinite) << 13;
            });
    }
  }
}

}  // namespace ptx_emulator::testing
