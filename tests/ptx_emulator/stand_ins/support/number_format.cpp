#include "tests/ptx_emulator/stand_ins/support/number_format.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace ptx_emulator::stand_ins {
namespace {

// A small binary float: `mantissa` stored bits, exponent bias, and how it treats what is out of
// range.
struct SmallFloat {
  int mantissa;
  int bias;
  std::uint32_t largest;   // bits of the largest finite value
  std::uint32_t overflow;  // what a larger value becomes
  std::uint32_t nan;
  int sign_shift;
};
constexpr SmallFloat kHalf = {10, 15, 0x7bff, 0x7c00, 0x7fff, 15};
constexpr SmallFloat kE4m3 = {3, 7, 0x7e, 0x7e, 0x7f, 7};
constexpr SmallFloat kE5m2 = {2, 15, 0x7b, 0x7b, 0x7f, 7};

// Rounds to nearest even in integer arithmetic: the bits of |x| are those of a double, so that one
// rounding serves float and double sources alike.
std::uint32_t encode(const SmallFloat& f, double x) {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const std::uint32_t sign = static_cast<std::uint32_t>(bits >> 63) << f.sign_shift;
  if (std::isnan(x)) return sign | f.nan;
  const int exponent = static_cast<int>((bits >> 52) & 0x7ff) - 1023;
  if (exponent > 64) return sign | f.overflow;
  const int smallest = 1 - f.bias;
  if (exponent < smallest - f.mantissa - 1) return sign;
  const int below = exponent < smallest ? smallest - exponent : 0;
  const std::uint64_t significand = (bits & 0xfffffffffffffULL) | (1ULL << 52);
  const int drop = 52 - f.mantissa + below;
  std::uint64_t kept = significand >> drop;
  const std::uint64_t rest = significand & ((1ULL << drop) - 1);
  const std::uint64_t half = 1ULL << (drop - 1);
  if (rest > half || (rest == half && (kept & 1) != 0)) ++kept;
  // The hidden bit adds one to the exponent field, a carry of the rounding one more.
  const auto field = static_cast<std::uint64_t>(below > 0 ? 0 : exponent + f.bias - 1);
  const std::uint64_t magnitude = (field << f.mantissa) + kept;
  return sign | (magnitude > f.largest ? f.overflow : static_cast<std::uint32_t>(magnitude));
}

float decode(const SmallFloat& f, std::uint32_t bits) {
  const std::uint32_t magnitude = bits & ((1U << f.sign_shift) - 1);
  const float sign = (bits >> f.sign_shift) != 0 ? -1.0F : 1.0F;
  const auto exponent = static_cast<int>(magnitude >> f.mantissa);
  const auto fraction = static_cast<float>(magnitude & ((1U << f.mantissa) - 1));
  if (magnitude > f.largest) {
    const bool infinite =
        f.sign_shift == 15 ? magnitude == 0x7c00 : (&f == &kE5m2 && magnitude == 0x7c);
    return infinite ? sign * std::numeric_limits<float>::infinity()
                    : std::numeric_limits<float>::quiet_NaN();
  }
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - f.bias - f.mantissa);
  return sign * std::ldexp(1.0F + std::ldexp(fraction, -f.mantissa), exponent - f.bias);
}

template <std::size_t size>
std::array<float, size> decode_table(const SmallFloat& f) {
  std::array<float, size> values{};
  for (std::uint32_t i = 0; i < size; ++i) values[i] = decode(f, i);
  return values;
}
const auto& half_values() {
  static const auto table = decode_table<65536>(kHalf);
  return table;
}
const auto& e4m3_values() {
  static const auto table = decode_table<256>(kE4m3);
  return table;
}
const auto& e5m2_values() {
  static const auto table = decode_table<256>(kE5m2);
  return table;
}

// Branch-free so that it vectorises; a NaN keeps its sign and becomes quiet.
inline std::uint16_t bfloat16_bits(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  const std::uint32_t quiet = (bits >> 16) | 0x40U;
  return static_cast<std::uint16_t>((bits & 0x7fffffffU) > 0x7f800000U ? quiet : rounded);
}

// Double to bfloat16 with one rounding: round to odd on the way through float.
inline std::uint16_t bfloat16_bits(double x) {
  auto narrow = static_cast<float>(x);
  if (!std::isnan(x) && std::isfinite(narrow) && static_cast<double>(narrow) != x) {
    auto bits = std::bit_cast<std::uint32_t>(narrow);
    if (std::fabs(static_cast<double>(narrow)) > std::fabs(x)) --bits;
    narrow = std::bit_cast<float>(bits | 1U);
  }
  return bfloat16_bits(narrow);
}

template <class Number, class Real>
void load_plain(const void* from, std::size_t count, Real* to) {
  const auto* source = static_cast<const Number*>(from);
  for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<Real>(source[i]);
}

template <class Number, class Table, class Real>
void load_table(const Table& table, const void* from, std::size_t count, Real* to) {
  const auto* source = static_cast<const Number*>(from);
  for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<Real>(table[source[i]]);
}

template <class Number, class Real>
void store_integer(const Real* from, std::size_t count, void* to) {
  auto* target = static_cast<Number*>(to);
  // The upper limit of a 64-bit type is not a double; the first double beyond it is.
  constexpr double kBeyond = static_cast<double>(std::numeric_limits<Number>::max() / 2 + 1) * 2.0;
  constexpr double kLowest = static_cast<double>(std::numeric_limits<Number>::lowest());
  for (std::size_t i = 0; i < count; ++i) {
    const double value = std::nearbyint(static_cast<double>(from[i]));
    if (std::isnan(value)) {
      target[i] = 0;
    } else if (value >= kBeyond) {
      target[i] = std::numeric_limits<Number>::max();
    } else {
      target[i] =
          value <= kLowest ? std::numeric_limits<Number>::lowest() : static_cast<Number>(value);
    }
  }
}

template <class Number, class Real>
void store_small(const SmallFloat& f, const Real* from, std::size_t count, void* to) {
  auto* target = static_cast<Number*>(to);
  for (std::size_t i = 0; i < count; ++i) {
    target[i] = static_cast<Number>(encode(f, static_cast<double>(from[i])));
  }
}

}  // namespace

std::optional<NumberFormat> format_of_cuda_type(int cuda_data_type) {
  switch (cuda_data_type) {
    case 0:
      return NumberFormat::kFloat32;
    case 1:
      return NumberFormat::kFloat64;
    case 2:
      return NumberFormat::kFloat16;
    case 3:
      return NumberFormat::kInt8;
    case 8:
      return NumberFormat::kUint8;
    case 10:
      return NumberFormat::kInt32;
    case 12:
      return NumberFormat::kUint32;
    case 14:
      return NumberFormat::kBfloat16;
    case 24:
      return NumberFormat::kInt64;
    case 26:
      return NumberFormat::kUint64;
    case 28:
      return NumberFormat::kFloat8E4m3;
    case 29:
      return NumberFormat::kFloat8E5m2;
    default:
      return std::nullopt;
  }
}

std::size_t bytes_of(NumberFormat format) {
  switch (format) {
    case NumberFormat::kFloat64:
    case NumberFormat::kInt64:
    case NumberFormat::kUint64:
      return 8;
    case NumberFormat::kFloat32:
    case NumberFormat::kInt32:
    case NumberFormat::kUint32:
      return 4;
    case NumberFormat::kFloat16:
    case NumberFormat::kBfloat16:
      return 2;
    default:
      return 1;
  }
}

const char* name_of(NumberFormat format) {
  constexpr std::array<const char*, 12> kNames = {"float64",    "float32",    "float16", "bfloat16",
                                                  "float8e4m3", "float8e5m2", "int8",    "uint8",
                                                  "int32",      "uint32",     "int64",   "uint64"};
  return kNames[static_cast<std::size_t>(format)];
}

bool is_integer(NumberFormat format) {
  return format >= NumberFormat::kInt8;
}

template <class Real>
void load(NumberFormat format, const void* from, std::size_t count, Real* to) {
  switch (format) {
    case NumberFormat::kFloat64:
      return load_plain<double>(from, count, to);
    case NumberFormat::kFloat32:
      return load_plain<float>(from, count, to);
    case NumberFormat::kFloat16:
      return load_table<std::uint16_t>(half_values(), from, count, to);
    case NumberFormat::kFloat8E4m3:
      return load_table<std::uint8_t>(e4m3_values(), from, count, to);
    case NumberFormat::kFloat8E5m2:
      return load_table<std::uint8_t>(e5m2_values(), from, count, to);
    case NumberFormat::kInt8:
      return load_plain<std::int8_t>(from, count, to);
    case NumberFormat::kUint8:
      return load_plain<std::uint8_t>(from, count, to);
    case NumberFormat::kInt32:
      return load_plain<std::int32_t>(from, count, to);
    case NumberFormat::kUint32:
      return load_plain<std::uint32_t>(from, count, to);
    case NumberFormat::kInt64:
      return load_plain<std::int64_t>(from, count, to);
    case NumberFormat::kUint64:
      return load_plain<std::uint64_t>(from, count, to);
    case NumberFormat::kBfloat16:
      break;
  }
  const auto* source = static_cast<const std::uint16_t*>(from);
  for (std::size_t i = 0; i < count; ++i) {
    to[i] = static_cast<Real>(std::bit_cast<float>(static_cast<std::uint32_t>(source[i]) << 16));
  }
}

template <class Real>
void store(NumberFormat format, const Real* from, std::size_t count, void* to) {
  switch (format) {
    case NumberFormat::kFloat64:
      for (std::size_t i = 0; i < count; ++i) static_cast<double*>(to)[i] = from[i];
      return;
    case NumberFormat::kFloat32:
      for (std::size_t i = 0; i < count; ++i) {
        static_cast<float*>(to)[i] = static_cast<float>(from[i]);
      }
      return;
    case NumberFormat::kFloat16:
      return store_small<std::uint16_t>(kHalf, from, count, to);
    case NumberFormat::kFloat8E4m3:
      return store_small<std::uint8_t>(kE4m3, from, count, to);
    case NumberFormat::kFloat8E5m2:
      return store_small<std::uint8_t>(kE5m2, from, count, to);
    case NumberFormat::kInt8:
      return store_integer<std::int8_t>(from, count, to);
    case NumberFormat::kUint8:
      return store_integer<std::uint8_t>(from, count, to);
    case NumberFormat::kInt32:
      return store_integer<std::int32_t>(from, count, to);
    case NumberFormat::kUint32:
      return store_integer<std::uint32_t>(from, count, to);
    case NumberFormat::kInt64:
      return store_integer<std::int64_t>(from, count, to);
    case NumberFormat::kUint64:
      return store_integer<std::uint64_t>(from, count, to);
    case NumberFormat::kBfloat16:
      break;
  }
  auto* target = static_cast<std::uint16_t*>(to);
  for (std::size_t i = 0; i < count; ++i) target[i] = bfloat16_bits(from[i]);
}

template void load<float>(NumberFormat, const void*, std::size_t, float*);
template void load<double>(NumberFormat, const void*, std::size_t, double*);
template void store<float>(NumberFormat, const float*, std::size_t, void*);
template void store<double>(NumberFormat, const double*, std::size_t, void*);

double round_to(NumberFormat format, double x) {
  alignas(8) std::byte bits[8] = {};
  store(format, &x, 1, bits);
  double rounded = 0;
  load(format, bits, 1, &rounded);
  return rounded;
}

float round_to_tf32(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7f800000U) == 0x7f800000U) return x;
  return std::bit_cast<float>((bits + 0x1000U) & ~0x1fffU);
}

}  // namespace ptx_emulator::stand_ins
