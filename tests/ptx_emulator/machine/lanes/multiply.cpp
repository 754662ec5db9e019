// Products of integers, and the chains of long arithmetic with a carry flag.

#include "tests/ptx_emulator/machine/lanes/map.h"

namespace ptx_emulator::lanes::PTX_LANES_ISA {
namespace {

__extension__ using s128 = __int128;
__extension__ using u128 = unsigned __int128;

// The upper halves of products.
struct High {
  static u32 of(u32 a, u32 b) { return static_cast<u32>(u64{a} * b >> 32); }
  static u32 of(s32 a, s32 b) { return static_cast<u32>(s64{a} * b >> 32); }
  static u64 of(u64 a, u64 b) { return static_cast<u64>(u128{a} * b >> 64); }
  static u64 of(s64 a, s64 b) { return static_cast<u64>(s128{a} * b >> 64); }
};
struct Low {
  static u32 of(u32 a, u32 b) { return a * b; }
  static u32 of(s32 a, s32 b) { return static_cast<u32>(a) * static_cast<u32>(b); }
  static u64 of(u64 a, u64 b) { return a * b; }
  static u64 of(s64 a, s64 b) { return static_cast<u64>(a) * static_cast<u64>(b); }
};

// Lanes of L hold values of T.
template <typename Half, typename T, typename L>
constexpr auto kMul = [](L a, L b) { return Half::of(static_cast<T>(a), static_cast<T>(b)); };
template <typename Half, typename T, typename L>
constexpr auto kMad =
    [](L a, L b, L c) { return Half::of(static_cast<T>(a), static_cast<T>(b)) + c; };
constexpr auto kMadHiSat = [](s32 a, s32 b, s32 c) -> s32 {
  s64 sum = (s64{a} * b >> 32) + c;
  sum = sum < INT32_MIN ? INT32_MIN : sum;
  return static_cast<s32>(sum > INT32_MAX ? INT32_MAX : sum);
};

constexpr auto kMulWideU32 = [](u32 a, u32 b) { return u64{a} * b; };
constexpr auto kMulWideS32 = [](s32 a, s32 b) { return s64{a} * b; };
constexpr auto kMadWideU32 = [](u32 a, u32 b, u64 c) { return u64{a} * b + c; };
constexpr auto kMadWideS32 = [](s32 a, s32 b, u64 c) { return static_cast<u64>(s64{a} * b) + c; };

s32 signed_product(u32 a, u32 b) {
  return s32{static_cast<s16>(a)} * static_cast<s16>(b);
}
constexpr auto kMulLo16 = [](u32 a, u32 b) { return a * b & 0xFFFFu; };
constexpr auto kMulHiU16 = [](u32 a, u32 b) { return a * b >> 16; };
constexpr auto kMulHiS16 = [](u32 a, u32 b) {
  return static_cast<u32>(signed_product(a, b)) >> 16;
};
constexpr auto kMulWideU16 = [](u32 a, u32 b) { return a * b; };
constexpr auto kMulWideS16 = [](u32 a, u32 b) { return static_cast<u32>(signed_product(a, b)); };
constexpr auto kMadLo16 = [](u32 a, u32 b, u32 c) { return (a * b + c) & 0xFFFFu; };
constexpr auto kMadHiU16 = [](u32 a, u32 b, u32 c) { return ((a * b >> 16) + c) & 0xFFFFu; };
constexpr auto kMadHiS16 = [](u32 a, u32 b, u32 c) {
  return ((static_cast<u32>(signed_product(a, b)) >> 16) + c) & 0xFFFFu;
};
constexpr auto kMadWideU16 = [](u32 a, u32 b, u32 c) { return a * b + c; };
constexpr auto kMadWideS16 = [](u32 a, u32 b, u32 c) {
  return static_cast<u32>(signed_product(a, b)) + c;
};

// 24-bit factors: the product has 48 bits, of which `hi` takes the upper 32.
u64 unsigned_24(u32 a, u32 b) {
  return u64{a & 0xFFFFFFu} * (b & 0xFFFFFFu);
}
s64 signed_24(u32 a, u32 b) {
  return (s64{static_cast<s32>(a << 8)} >> 8) * (static_cast<s32>(b << 8) >> 8);
}
constexpr auto kMul24LoU = [](u32 a, u32 b) { return static_cast<u32>(unsigned_24(a, b)); };
constexpr auto kMul24LoS = [](u32 a, u32 b) { return static_cast<u32>(signed_24(a, b)); };
constexpr auto kMul24HiU = [](u32 a, u32 b) { return static_cast<u32>(unsigned_24(a, b) >> 16); };
constexpr auto kMul24HiS = [](u32 a, u32 b) { return static_cast<u32>(signed_24(a, b) >> 16); };
constexpr auto kMad24LoU = [](u32 a, u32 b, u32 c) { return kMul24LoU(a, b) + c; };
constexpr auto kMad24LoS = [](u32 a, u32 b, u32 c) { return kMul24LoS(a, b) + c; };
constexpr auto kMad24HiU = [](u32 a, u32 b, u32 c) { return kMul24HiU(a, b) + c; };
constexpr auto kMad24HiS = [](u32 a, u32 b, u32 c) { return kMul24HiS(a, b) + c; };
constexpr auto kMad24HiSat = [](u32 a, u32 b, s32 c) -> s32 {
  s64 sum = s64{static_cast<s32>(signed_24(a, b) >> 16)} + c;
  sum = sum < INT32_MIN ? INT32_MIN : sum;
  return static_cast<s32>(sum > INT32_MAX ? INT32_MAX : sum);
};

// x + y + carry, or x - y - borrow, with the flag at the Place in Op::extra. kIn: the flag is read;
// kOut: written.
template <typename L, bool kSubtract, bool kIn, bool kOut, typename F, typename G>
void add_carry(Warp& warp, const Op* op, F first, G second) {
  const u32 lanes = active_lanes(warp, op);
  const Place flag = *static_cast<const Place*>(op->extra);
  const u32 carry = kIn ? Source<bool>(warp, flag).word : 0;
  u32 out = 0;
  if constexpr (kOut) {
    for (u32 i = 0; i < kWarpLanes; ++i) {
      const L x = first(i), y = second(i), in = carry >> i & 1u;
      const L sum = kSubtract ? x - y : x + y;
      const bool wrapped = kSubtract ? x < y || sum < in : sum < x || L(sum + in) < sum;
      out |= static_cast<u32>(wrapped) << i;
    }
  }
  store_lanes<L>(warp, op->d, lanes, [&](u32 i) {
    const L in = carry >> i & 1u;
    return kSubtract ? first(i) - second(i) - in : first(i) + second(i) + in;
  });
  if constexpr (kOut) set_predicate(warp, flag, lanes, out);
}

template <typename L, bool kSubtract, bool kIn, bool kOut>
const Op* carry_sum(Warp& warp, const Op* op) {
  const Source<L> a(warp, op->a), b(warp, op->b);
  add_carry<L, kSubtract, kIn, kOut>(
      warp, op, [&](u32 i) { return a[i]; }, [&](u32 i) { return b[i]; });
  return op + 1;
}

template <typename Half, typename T, typename L, bool kIn, bool kOut>
const Op* carry_mad(Warp& warp, const Op* op) {
  const Source<L> a(warp, op->a), b(warp, op->b), c(warp, op->c);
  const auto product = [&](u32 i) { return Half::of(static_cast<T>(a[i]), static_cast<T>(b[i])); };
  add_carry<L, false, kIn, kOut>(warp, op, product, [&](u32 i) { return c[i]; });
  return op + 1;
}

template <typename L>
void register_carry_sums(FormSink& sink, const char* types, const char* three) {
  sink.add({"$add.cc", types}, three, carry_sum<L, false, false, true>);
  sink.add({"$addc", types}, three, carry_sum<L, false, true, false>);
  sink.add({"$addc.cc", types}, three, carry_sum<L, false, true, true>);
  sink.add({"$sub.cc", types}, three, carry_sum<L, true, false, true>);
  sink.add({"$subc", types}, three, carry_sum<L, true, true, false>);
  sink.add({"$subc.cc", types}, three, carry_sum<L, true, true, true>);
}

template <typename Half, typename T, typename L>
void register_carry_mads(FormSink& sink, const char* half, const char* type, const char* four) {
  sink.add({"$mad", half, ".cc", type}, four, carry_mad<Half, T, L, false, true>);
  sink.add({"$madc", half, type}, four, carry_mad<Half, T, L, true, false>);
  sink.add({"$madc", half, ".cc", type}, four, carry_mad<Half, T, L, true, true>);
}

template <typename T, typename L>
void register_width(FormSink& sink, const char* type, const char* three, const char* four) {
  sink.add({"mul.lo.", type}, three, map<kMul<Low, T, L>>);
  sink.add({"mul.hi.", type}, three, map<kMul<High, T, L>>);
  sink.add({"mad.lo.", type}, four, map<kMad<Low, T, L>>);
  sink.add({"mad.hi.", type}, four, map<kMad<High, T, L>>);
}

}  // namespace

void register_multiply(FormSink& sink) {
  register_width<u32, u32>(sink, "u32", "www", "wwww");
  register_width<s32, u32>(sink, "s32", "www", "wwww");
  register_width<u64, u64>(sink, "u64", "ddd", "dddd");
  register_width<s64, u64>(sink, "s64", "ddd", "dddd");
  sink.add("mad.hi.sat.s32", "wwww", map<kMadHiSat>);
  sink.add("mul.wide.u32", "dww", map<kMulWideU32>);
  sink.add("mul.wide.s32", "dww", map<kMulWideS32>);
  sink.add("mad.wide.u32", "dwwd", map<kMadWideU32>);
  sink.add("mad.wide.s32", "dwwd", map<kMadWideS32>);
  sink.add("mul.lo.{u16,s16}", "hhh", map<kMulLo16>);
  sink.add("mul.hi.u16", "hhh", map<kMulHiU16>);
  sink.add("mul.hi.s16", "hhh", map<kMulHiS16>);
  sink.add("mul.wide.u16", "whh", map<kMulWideU16>);
  sink.add("mul.wide.s16", "whh", map<kMulWideS16>);
  sink.add("mad.lo.{u16,s16}", "hhhh", map<kMadLo16>);
  sink.add("mad.hi.u16", "hhhh", map<kMadHiU16>);
  sink.add("mad.hi.s16", "hhhh", map<kMadHiS16>);
  sink.add("mad.wide.u16", "whhw", map<kMadWideU16>);
  sink.add("mad.wide.s16", "whhw", map<kMadWideS16>);

  sink.add("mul24.lo.u32", "www", map<kMul24LoU>);
  sink.add("mul24.lo.s32", "www", map<kMul24LoS>);
  sink.add("mul24.hi.u32", "www", map<kMul24HiU>);
  sink.add("mul24.hi.s32", "www", map<kMul24HiS>);
  sink.add("mad24.lo.u32", "wwww", map<kMad24LoU>);
  sink.add("mad24.lo.s32", "wwww", map<kMad24LoS>);
  sink.add("mad24.hi.u32", "wwww", map<kMad24HiU>);
  sink.add("mad24.hi.s32", "wwww", map<kMad24HiS>);
  sink.add("mad24.hi.sat.s32", "wwww", map<kMad24HiSat>);

  register_carry_sums<u32>(sink, ".{u32,s32}", "www");
  register_carry_sums<u64>(sink, ".{u64,s64}", "ddd");
  register_carry_mads<Low, u32, u32>(sink, ".lo", ".{u32,s32}", "wwww");
  register_carry_mads<High, u32, u32>(sink, ".hi", ".u32", "wwww");
  register_carry_mads<High, s32, u32>(sink, ".hi", ".s32", "wwww");
  register_carry_mads<Low, u64, u64>(sink, ".lo", ".{u64,s64}", "dddd");
  register_carry_mads<High, u64, u64>(sink, ".hi", ".u64", "dddd");
  register_carry_mads<High, s64, u64>(sink, ".hi", ".s64", "dddd");
}

}  // namespace ptx_emulator::lanes::PTX_LANES_ISA
