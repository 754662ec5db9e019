#include "tests/ptx_emulator/machine/atomic_values.h"

#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <limits>

namespace ptx_emulator {
namespace {

// f(old) replaces old, which is returned.
template <typename Word, typename F>
std::uint64_t update(std::byte* at, F f) {
  std::atomic_ref<Word> value(*reinterpret_cast<Word*>(at));
  Word old = value.load(std::memory_order_relaxed);
  while (!value.compare_exchange_weak(old, f(old), std::memory_order_seq_cst)) {
  }
  return old;
}

template <typename Word>
std::uint64_t add(std::byte* at, std::uint64_t b, std::uint64_t, bool) {
  return std::atomic_ref<Word>(*reinterpret_cast<Word*>(at)).fetch_add(static_cast<Word>(b));
}
template <typename Word>
std::uint64_t logical_and(std::byte* at, std::uint64_t b, std::uint64_t, bool) {
  return std::atomic_ref<Word>(*reinterpret_cast<Word*>(at)).fetch_and(static_cast<Word>(b));
}
template <typename Word>
std::uint64_t logical_or(std::byte* at, std::uint64_t b, std::uint64_t, bool) {
  return std::atomic_ref<Word>(*reinterpret_cast<Word*>(at)).fetch_or(static_cast<Word>(b));
}
template <typename Word>
std::uint64_t logical_xor(std::byte* at, std::uint64_t b, std::uint64_t, bool) {
  return std::atomic_ref<Word>(*reinterpret_cast<Word*>(at)).fetch_xor(static_cast<Word>(b));
}
template <typename Word>
std::uint64_t exchange(std::byte* at, std::uint64_t b, std::uint64_t, bool) {
  return std::atomic_ref<Word>(*reinterpret_cast<Word*>(at)).exchange(static_cast<Word>(b));
}
template <typename Word>
std::uint64_t compare_exchange(std::byte* at, std::uint64_t b, std::uint64_t c, bool) {
  auto expected = static_cast<Word>(b);
  std::atomic_ref<Word>(*reinterpret_cast<Word*>(at))
      .compare_exchange_strong(expected, static_cast<Word>(c));
  return expected;
}
template <typename Word>
std::uint64_t increment(std::byte* at, std::uint64_t b, std::uint64_t, bool) {
  const auto limit = static_cast<Word>(b);
  return update<Word>(
      at, [&](Word old) { return old >= limit ? Word{0} : static_cast<Word>(old + 1); });
}
template <typename Word>
std::uint64_t decrement(std::byte* at, std::uint64_t b, std::uint64_t, bool) {
  const auto limit = static_cast<Word>(b);
  return update<Word>(
      at, [&](Word old) { return old == 0 || old > limit ? limit : static_cast<Word>(old - 1); });
}
template <typename Word, typename Number>
std::uint64_t minimum(std::byte* at, std::uint64_t b, std::uint64_t, bool) {
  const auto other = static_cast<Number>(b);
  return update<Word>(
      at, [&](Word old) { return static_cast<Word>(std::min(static_cast<Number>(old), other)); });
}
template <typename Word, typename Number>
std::uint64_t maximum(std::byte* at, std::uint64_t b, std::uint64_t, bool) {
  const auto other = static_cast<Number>(b);
  return update<Word>(
      at, [&](Word old) { return static_cast<Word>(std::max(static_cast<Number>(old), other)); });
}

float flushed(float value) {
  return std::fpclassify(value) == FP_SUBNORMAL ? std::copysign(0.0f, value) : value;
}

std::uint64_t add_f32(std::byte* at, std::uint64_t b, std::uint64_t, bool flush) {
  auto addend = std::bit_cast<float>(static_cast<std::uint32_t>(b));
  if (flush) addend = flushed(addend);
  return update<std::uint32_t>(at, [&](std::uint32_t old) {
    const auto value = std::bit_cast<float>(old);
    const float sum = flush ? flushed(flushed(value) + addend) : value + addend;
    return std::isnan(sum) ? 0x7FFFFFFFu : std::bit_cast<std::uint32_t>(sum);
  });
}
std::uint64_t add_f64(std::byte* at, std::uint64_t b, std::uint64_t, bool) {
  return update<std::uint64_t>(at, [&](std::uint64_t old) {
    return std::bit_cast<std::uint64_t>(std::bit_cast<double>(old) + std::bit_cast<double>(b));
  });
}

// Two floats of 16 bits: conversions are exact one way and round to nearest even the other.
struct Half {
  [[gnu::target("f16c")]] static float widen(std::uint16_t bits) { return _cvtsh_ss(bits); }
  [[gnu::target("f16c")]] static std::uint16_t narrow(float value) {
    return std::isnan(value) ? std::uint16_t{0x7FFF} : _cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT);
  }
};
struct Brain {
  static float widen(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
  static std::uint16_t narrow(float value) {
    if (std::isnan(value)) return 0x7FFF;
    const auto bits = std::bit_cast<std::uint32_t>(value);
    return static_cast<std::uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
  }
};
enum class SmallOperation { kAdd, kMin, kMax };

template <typename Format, SmallOperation kOperation>
std::uint16_t combine(std::uint16_t a, std::uint16_t b) {
  const float x = Format::widen(a), y = Format::widen(b);
  if constexpr (kOperation == SmallOperation::kAdd) return Format::narrow(x + y);
  if (std::isnan(x)) return std::isnan(y) ? std::uint16_t{0x7FFF} : b;
  if (std::isnan(y)) return a;
  if (x == y) {
    // Only zeros of different sign compare equal and differ.
    const bool a_is_less = (a & 0x8000) != 0;
    return (kOperation == SmallOperation::kMin) == a_is_less ? a : b;
  }
  return (kOperation == SmallOperation::kMin) == (x < y) ? a : b;
}

template <typename Format, SmallOperation kOperation>
std::uint64_t update_small(std::byte* at, std::uint64_t b, std::uint64_t, bool) {
  return update<std::uint16_t>(at, [&](std::uint16_t old) {
    return combine<Format, kOperation>(old, static_cast<std::uint16_t>(b));
  });
}
template <typename Format, SmallOperation kOperation>
std::uint64_t update_pair(std::byte* at, std::uint64_t b, std::uint64_t, bool) {
  return update<std::uint32_t>(at, [&](std::uint32_t old) {
    const std::uint32_t low =
        combine<Format, kOperation>(static_cast<std::uint16_t>(old), static_cast<std::uint16_t>(b));
    const std::uint32_t high = combine<Format, kOperation>(static_cast<std::uint16_t>(old >> 16),
                                                           static_cast<std::uint16_t>(b >> 16));
    return low | high << 16;
  });
}

template <typename Word, typename Signed>
AtomicFunction of_integer(const std::string& operation, bool is_signed, bool is_bits) {
  if (operation == "exch") return exchange<Word>;
  if (operation == "cas") return compare_exchange<Word>;
  if (operation == "and") return logical_and<Word>;
  if (operation == "or") return logical_or<Word>;
  if (operation == "xor") return logical_xor<Word>;
  if (is_bits) return nullptr;
  if (operation == "add") return add<Word>;
  if (operation == "min") return is_signed ? minimum<Word, Signed> : minimum<Word, Word>;
  if (operation == "max") return is_signed ? maximum<Word, Signed> : maximum<Word, Word>;
  if (operation == "inc" && !is_signed) return increment<Word>;
  if (operation == "dec" && !is_signed) return decrement<Word>;
  return nullptr;
}

template <typename Format>
AtomicFunction of_small(const std::string& operation, bool pair) {
  using Op = SmallOperation;
  if (operation == "add")
    return pair ? update_pair<Format, Op::kAdd> : update_small<Format, Op::kAdd>;
  if (operation == "min")
    return pair ? update_pair<Format, Op::kMin> : update_small<Format, Op::kMin>;
  if (operation == "max")
    return pair ? update_pair<Format, Op::kMax> : update_small<Format, Op::kMax>;
  return nullptr;
}

}  // namespace

AtomicFunction atomic_function(const std::string& operation, ptx::Type type) {
  using ptx::Type;
  switch (type) {
    case Type::kB16:
      return operation == "cas"    ? compare_exchange<std::uint16_t>
             : operation == "exch" ? exchange<std::uint16_t>
                                   : nullptr;
    case Type::kB32:
    case Type::kU32:
    case Type::kS32:
      return of_integer<std::uint32_t, std::int32_t>(operation, type == Type::kS32,
                                                     type == Type::kB32);
    case Type::kB64:
    case Type::kU64:
    case Type::kS64:
      return of_integer<std::uint64_t, std::int64_t>(operation, type == Type::kS64,
                                                     type == Type::kB64);
    case Type::kF32:
      return operation == "add" ? add_f32 : operation == "exch" ? exchange<std::uint32_t> : nullptr;
    case Type::kF64:
      return operation == "add" ? add_f64 : operation == "exch" ? exchange<std::uint64_t> : nullptr;
    case Type::kF16:
      return of_small<Half>(operation, false);
    case Type::kF16x2:
      return of_small<Half>(operation, true);
    case Type::kBf16:
      return of_small<Brain>(operation, false);
    case Type::kBf16x2:
      return of_small<Brain>(operation, true);
    default:
      return nullptr;
  }
}

namespace {

__extension__ using Bits128 = unsigned __int128;

Bits128 joined(Wide wide) {
  return static_cast<Bits128>(wide.high) << 64 | wide.low;
}
Wide divided(Bits128 bits) {
  return {static_cast<std::uint64_t>(bits), static_cast<std::uint64_t>(bits >> 64)};
}

}  // namespace

[[gnu::target("cx16")]] Wide compare_exchange_wide(std::byte* at, Wide expected, Wide value) {
  return divided(
      __sync_val_compare_and_swap(reinterpret_cast<Bits128*>(at), joined(expected), joined(value)));
}

Wide exchange_wide(std::byte* at, Wide value) {
  Wide old;
  while (true) {
    const Wide seen = compare_exchange_wide(at, old, value);
    if (seen.low == old.low && seen.high == old.high) return old;
    old = seen;
  }
}

}  // namespace ptx_emulator
