#include "tests/ptx_emulator/machine/tensor/combine.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "tests/ptx_emulator/machine/tensor/number_formats.h"

namespace ptx_emulator::tensor {
namespace {

struct F16 {
  std::uint16_t bits;
  float value() const { return float_of_f16(bits); }
  static F16 of(float value) { return {f16_of_float(value)}; }
};
struct Bf16 {
  std::uint16_t bits;
  float value() const { return float_of_bf16(bits); }
  static Bf16 of(float value) {
    const std::uint32_t word = std::bit_cast<std::uint32_t>(value);
    if (value != value) return {0x7FFF};
    return {static_cast<std::uint16_t>((word + 0x7FFFu + (word >> 16 & 1u)) >> 16)};
  }
};

template <typename T>
constexpr bool kIsSmallFloat = std::is_same_v<T, F16> || std::is_same_v<T, Bf16>;

template <typename T>
T smaller(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    return std::fmin(a, b);
  } else {
    return std::min(a, b);
  }
}
template <typename T>
T larger(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    return std::fmax(a, b);
  } else {
    return std::max(a, b);
  }
}

struct Add {
  template <typename T>
  static T apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      using U = std::make_unsigned_t<T>;
      return static_cast<T>(static_cast<U>(a) + static_cast<U>(b));
    } else {
      return a + b;
    }
  }
};
struct Min {
  template <typename T>
  static T apply(T a, T b) {
    return smaller(a, b);
  }
};
struct Max {
  template <typename T>
  static T apply(T a, T b) {
    return larger(a, b);
  }
};
struct Increment {
  template <typename T>
  static T apply(T a, T b) {
    return a >= b ? T{0} : static_cast<T>(a + 1);
  }
};
struct Decrement {
  template <typename T>
  static T apply(T a, T b) {
    return a == 0 || a > b ? b : static_cast<T>(a - 1);
  }
};
struct And {
  template <typename T>
  static T apply(T a, T b) {
    return a & b;
  }
};
struct Or {
  template <typename T>
  static T apply(T a, T b) {
    return a | b;
  }
};
struct Xor {
  template <typename T>
  static T apply(T a, T b) {
    return a ^ b;
  }
};

template <typename Operation, typename T>
T apply(T a, T b) {
  if constexpr (kIsSmallFloat<T>) {
    return T::of(Operation::apply(a.value(), b.value()));
  } else {
    return Operation::apply(a, b);
  }
}

// Other threads of the machine may reduce into the same memory at this moment.
template <typename Operation, typename T>
void combine(std::byte* destination, const std::byte* source, std::uint64_t bytes) {
  using Bits = std::conditional_t<sizeof(T) == 2, std::uint16_t,
                                  std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>>;
  for (std::uint64_t i = 0; i + sizeof(T) <= bytes; i += sizeof(T)) {
    T operand;
    std::memcpy(&operand, source + i, sizeof operand);
    auto* target = reinterpret_cast<Bits*>(destination + i);
    Bits before = __atomic_load_n(target, __ATOMIC_RELAXED);
    Bits after;
    do {
      after = std::bit_cast<Bits>(apply<Operation>(std::bit_cast<T>(before), operand));
    } while (!__atomic_compare_exchange_n(target, &before, after, true, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
  }
}

struct Row {
  std::string_view operation, type;
  BulkCombine combine;
};
constexpr Row kRows[] = {
    {"add", "f16", combine<Add, F16>},
    {"add", "bf16", combine<Add, Bf16>},
    {"add", "f32", combine<Add, float>},
    {"add", "f64", combine<Add, double>},
    {"add", "u32", combine<Add, std::uint32_t>},
    {"add", "s32", combine<Add, std::int32_t>},
    {"add", "u64", combine<Add, std::uint64_t>},
    {"add", "s64", combine<Add, std::int64_t>},
    {"min", "f16", combine<Min, F16>},
    {"min", "bf16", combine<Min, Bf16>},
    {"min", "u32", combine<Min, std::uint32_t>},
    {"min", "s32", combine<Min, std::int32_t>},
    {"min", "u64", combine<Min, std::uint64_t>},
    {"min", "s64", combine<Min, std::int64_t>},
    {"max", "f16", combine<Max, F16>},
    {"max", "bf16", combine<Max, Bf16>},
    {"max", "u32", combine<Max, std::uint32_t>},
    {"max", "s32", combine<Max, std::int32_t>},
    {"max", "u64", combine<Max, std::uint64_t>},
    {"max", "s64", combine<Max, std::int64_t>},
    {"inc", "u32", combine<Increment, std::uint32_t>},
    {"dec", "u32", combine<Decrement, std::uint32_t>},
    {"and", "b32", combine<And, std::uint32_t>},
    {"and", "b64", combine<And, std::uint64_t>},
    {"or", "b32", combine<Or, std::uint32_t>},
    {"or", "b64", combine<Or, std::uint64_t>},
    {"xor", "b32", combine<Xor, std::uint32_t>},
    {"xor", "b64", combine<Xor, std::uint64_t>},
};

}  // namespace

BulkCombine combine_for(std::string_view operation, std::string_view type) {
  for (const Row& row : kRows) {
    if (row.operation == operation && row.type == type) return row.combine;
  }
  return nullptr;
}

std::string_view type_word(TensorDataType type, std::string_view operation) {
  const bool bitwise = operation == "and" || operation == "or" || operation == "xor";
  switch (type) {
    case TensorDataType::kF16:
      return "f16";
    case TensorDataType::kBf16:
      return "bf16";
    case TensorDataType::kF32:
    case TensorDataType::kF32Ftz:
    case TensorDataType::kTf32:
    case TensorDataType::kTf32Ftz:
      return "f32";
    case TensorDataType::kF64:
      return "f64";
    case TensorDataType::kU32:
      return bitwise ? "b32" : "u32";
    case TensorDataType::kS32:
      return bitwise ? "b32" : "s32";
    case TensorDataType::kU64:
      return bitwise ? "b64" : "u64";
    case TensorDataType::kS64:
      return bitwise ? "b64" : "s64";
    default:
      return "";
  }
}

}  // namespace ptx_emulator::tensor
