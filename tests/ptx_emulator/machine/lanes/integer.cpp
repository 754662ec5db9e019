// Sums, differences, comparisons of size, and division of integers.

#include "tests/ptx_emulator/machine/lanes/map.h"

namespace ptx_emulator::lanes::PTX_LANES_ISA {
namespace {

constexpr auto kAdd16 = [](u32 a, u32 b) { return (a + b) & 0xFFFFu; };
constexpr auto kAdd32 = [](u32 a, u32 b) { return a + b; };
constexpr auto kAdd64 = [](u64 a, u64 b) { return a + b; };
constexpr auto kSub16 = [](u32 a, u32 b) { return (a - b) & 0xFFFFu; };
constexpr auto kSub32 = [](u32 a, u32 b) { return a - b; };
constexpr auto kSub64 = [](u64 a, u64 b) { return a - b; };

s32 clamp_to_s32(s64 value) {
  value = value < INT32_MIN ? INT32_MIN : value;
  return static_cast<s32>(value > INT32_MAX ? INT32_MAX : value);
}
constexpr auto kAddSat = [](s32 a, s32 b) { return clamp_to_s32(s64{a} + s64{b}); };
constexpr auto kSubSat = [](s32 a, s32 b) { return clamp_to_s32(s64{a} - s64{b}); };

// Values of T in lanes of L: 16-bit ones are zero-extended.
template <typename T, typename L>
struct Width {
  static T in(L lane) { return static_cast<T>(lane); }
  static L out(T value) { return static_cast<L>(static_cast<std::make_unsigned_t<T>>(value)); }
};

template <typename T, typename L>
constexpr auto kMin = [](L a, L b) {
  using W = Width<T, L>;
  return W::out(W::in(a) < W::in(b) ? W::in(a) : W::in(b));
};
template <typename T, typename L>
constexpr auto kMax = [](L a, L b) {
  using W = Width<T, L>;
  return W::out(W::in(a) < W::in(b) ? W::in(b) : W::in(a));
};
template <typename T, typename L>
constexpr auto kMinRelu = [](L a, L b) {
  using W = Width<T, L>;
  const T least = W::in(a) < W::in(b) ? W::in(a) : W::in(b);
  return W::out(least < 0 ? T{0} : least);
};
template <typename T, typename L>
constexpr auto kMaxRelu = [](L a, L b) {
  using W = Width<T, L>;
  const T most = W::in(a) < W::in(b) ? W::in(b) : W::in(a);
  return W::out(most < 0 ? T{0} : most);
};
template <typename T, typename L>
constexpr auto kNeg =
    [](L a) { return Width<T, L>::out(static_cast<T>(std::make_unsigned_t<T>(0) - a)); };
template <typename T, typename L>
constexpr auto kAbs = [](L a) {
  const L negated = Width<T, L>::out(static_cast<T>(std::make_unsigned_t<T>(0) - a));
  return Width<T, L>::in(a) < 0 ? negated : a;
};
template <typename T, typename L>
constexpr auto kSad = [](L a, L b, L c) {
  using W = Width<T, L>;
  const L difference = W::in(a) < W::in(b) ? b - a : a - b;
  return W::out(static_cast<T>(c + difference));
};

// The two 16-bit halves of a word, each by kF.
template <auto kF>
constexpr auto kHalves =
    [](u32 a, u32 b) { return kF(a & 0xFFFFu, b & 0xFFFFu) | kF(a >> 16, b >> 16) << 16; };

// A division by zero gives all ones, quotient and remainder, as the hardware's sequence does.
// A double holds the operands exactly, and its quotient, rounded, never reaches the next integer.
constexpr auto kDivU32 = [](u32 a, u32 b) -> u32 {
  const u32 quotient = static_cast<u32>(static_cast<double>(a) / (b == 0 ? 1.0 : b));
  return b == 0 ? ~0u : quotient;
};
constexpr auto kRemU32 = [](u32 a, u32 b) -> u32 {
  const u32 quotient = static_cast<u32>(static_cast<double>(a) / (b == 0 ? 1.0 : b));
  return b == 0 ? ~0u : a - quotient * b;
};
constexpr auto kDivS32 = [](s32 a, s32 b) -> s32 {
  // The one quotient beyond the range, -2^31 / -1, wraps.
  const double quotient = static_cast<double>(a) / (b == 0 ? 1.0 : b);
  const s32 wrapped = quotient > 2147483647.0 ? INT32_MIN : static_cast<s32>(quotient);
  return b == 0 ? -1 : wrapped;
};
constexpr auto kRemS32 = [](s32 a, s32 b) -> s32 {
  const double quotient = static_cast<double>(a) / (b == 0 ? 1.0 : b);
  const s32 wrapped = quotient > 2147483647.0 ? INT32_MIN : static_cast<s32>(quotient);
  const u32 rest = static_cast<u32>(a) - static_cast<u32>(wrapped) * static_cast<u32>(b);
  return b == 0 ? -1 : static_cast<s32>(rest);
};
constexpr auto kDivU16 = [](u32 a, u32 b) -> u32 {
  const u32 q = static_cast<u32>(static_cast<float>(a) / static_cast<float>(b == 0 ? 1u : b));
  return b == 0 ? 0xFFFFu : q;
};
constexpr auto kRemU16 = [](u32 a, u32 b) -> u32 {
  const u32 q = static_cast<u32>(static_cast<float>(a) / static_cast<float>(b == 0 ? 1u : b));
  return b == 0 ? 0xFFFFu : a - q * b;
};
constexpr auto kDivS16 = [](u32 a, u32 b) -> u32 {
  const s32 x = static_cast<s16>(a), y = static_cast<s16>(b);
  const s32 q = static_cast<s32>(static_cast<float>(x) / static_cast<float>(y == 0 ? 1 : y));
  return b == 0 ? 0xFFFFu : static_cast<u32>(q) & 0xFFFFu;
};
constexpr auto kRemS16 = [](u32 a, u32 b) -> u32 {
  const s32 x = static_cast<s16>(a), y = static_cast<s16>(b);
  const s32 q = static_cast<s32>(static_cast<float>(x) / static_cast<float>(y == 0 ? 1 : y));
  return b == 0 ? 0xFFFFu : static_cast<u32>(x - q * y) & 0xFFFFu;
};
constexpr auto kDivU64 = [](u64 a, u64 b) -> u64 {
  if (b == 0) return ~u64{0};
  return (a | b) >> 32 == 0 ? static_cast<u32>(a) / static_cast<u32>(b) : a / b;
};
constexpr auto kRemU64 = [](u64 a, u64 b) -> u64 {
  if (b == 0) return ~u64{0};
  return (a | b) >> 32 == 0 ? static_cast<u32>(a) % static_cast<u32>(b) : a % b;
};
constexpr auto kDivS64 = [](s64 a, s64 b) -> s64 {
  if (b == 0) return -1;
  return b == -1 ? static_cast<s64>(u64{0} - static_cast<u64>(a)) : a / b;
};
constexpr auto kRemS64 = [](s64 a, s64 b) -> s64 {
  if (b == 0) return -1;
  return b == -1 ? 0 : a % b;
};

template <typename T, typename L>
void register_sizes(FormSink& sink, const char* type, const char* two, const char* three) {
  sink.add({"min.", type}, two, map<kMin<T, L>>);
  sink.add({"max.", type}, two, map<kMax<T, L>>);
  sink.add({"sad.", type}, three, map<kSad<T, L>>);
}

template <typename T, typename L>
void register_signs(FormSink& sink, const char* type, const char* one) {
  sink.add({"neg.", type}, one, map<kNeg<T, L>>);
  sink.add({"abs.", type}, one, map<kAbs<T, L>>);
}

void register_division(FormSink& sink) {
  sink.add("div.u16", "hhh", map<kDivU16>);
  sink.add("div.s16", "hhh", map<kDivS16>);
  sink.add("rem.u16", "hhh", map<kRemU16>);
  sink.add("rem.s16", "hhh", map<kRemS16>);
  sink.add("div.u32", "www", map<kDivU32>);
  sink.add("div.s32", "www", map<kDivS32>);
  sink.add("rem.u32", "www", map<kRemU32>);
  sink.add("rem.s32", "www", map<kRemS32>);
  sink.add("div.u64", "ddd", map<kDivU64>);
  sink.add("div.s64", "ddd", map<kDivS64>);
  sink.add("rem.u64", "ddd", map<kRemU64>);
  sink.add("rem.s64", "ddd", map<kRemS64>);
}

}  // namespace

void register_integer(FormSink& sink) {
  sink.add("add.{u16,s16}", "hhh", map<kAdd16>);
  sink.add("add.{u32,s32}", "www", map<kAdd32>);
  sink.add("add.{u64,s64}", "ddd", map<kAdd64>);
  sink.add("add.sat.s32", "www", map<kAddSat>);
  sink.add("add.{u16x2,s16x2}", "www", map<kHalves<kAdd16>>);
  sink.add("sub.{u16,s16}", "hhh", map<kSub16>);
  sink.add("sub.{u32,s32}", "www", map<kSub32>);
  sink.add("sub.{u64,s64}", "ddd", map<kSub64>);
  sink.add("sub.sat.s32", "www", map<kSubSat>);

  register_sizes<u16, u32>(sink, "u16", "hhh", "hhhh");
  register_sizes<s16, u32>(sink, "s16", "hhh", "hhhh");
  register_sizes<u32, u32>(sink, "u32", "www", "wwww");
  register_sizes<s32, u32>(sink, "s32", "www", "wwww");
  register_sizes<u64, u64>(sink, "u64", "ddd", "dddd");
  register_sizes<s64, u64>(sink, "s64", "ddd", "dddd");
  register_signs<s16, u32>(sink, "s16", "hh");
  register_signs<s32, u32>(sink, "s32", "ww");
  register_signs<s64, u64>(sink, "s64", "dd");
  sink.add("min.u16x2", "www", map<kHalves<kMin<u16, u32>>>);
  sink.add("max.u16x2", "www", map<kHalves<kMax<u16, u32>>>);
  sink.add("min.s16x2", "www", map<kHalves<kMin<s16, u32>>>);
  sink.add("max.s16x2", "www", map<kHalves<kMax<s16, u32>>>);
  sink.add("min.relu.s16x2", "www", map<kHalves<kMinRelu<s16, u32>>>);
  sink.add("max.relu.s16x2", "www", map<kHalves<kMaxRelu<s16, u32>>>);
  sink.add("min.relu.s32", "www", map<kMinRelu<s32, u32>>);
  sink.add("max.relu.s32", "www", map<kMaxRelu<s32, u32>>);
  register_division(sink);
}

}  // namespace ptx_emulator::lanes::PTX_LANES_ISA
