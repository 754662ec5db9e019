// Bitwise operations, shifts, bit fields, byte permutation, dot products of bytes, and selection.

#include "tests/ptx_emulator/machine/lanes/map.h"

namespace ptx_emulator::lanes::PTX_LANES_ISA {
namespace {

template <typename L>
constexpr auto kAnd = [](L a, L b) { return a & b; };
template <typename L>
constexpr auto kOr = [](L a, L b) { return a | b; };
template <typename L>
constexpr auto kXor = [](L a, L b) { return a ^ b; };
constexpr auto kNot16 = [](u32 a) { return ~a & 0xFFFFu; };
template <typename L>
constexpr auto kNot = [](L a) { return ~a; };
template <typename L>
constexpr auto kCnot = [](L a) { return static_cast<L>(a == 0); };
constexpr auto kNotWord = [](u32 a, u32) { return ~a; };
constexpr auto kMoveWord = [](u32 a, u32) { return a; };

// Shifts by the width or more give what shifting bit by bit would.
constexpr auto kShl16 = [](u32 a, u32 b) { return b < 16 ? a << (b & 15u) & 0xFFFFu : 0u; };
constexpr auto kShl32 = [](u32 a, u32 b) { return b < 32 ? a << (b & 31u) : 0u; };
constexpr auto kShl64 = [](u64 a, u32 b) { return b < 64 ? a << (b & 63u) : u64{0}; };
constexpr auto kShrU16 = [](u32 a, u32 b) { return b < 16 ? a >> (b & 15u) : 0u; };
constexpr auto kShrU32 = [](u32 a, u32 b) { return b < 32 ? a >> (b & 31u) : 0u; };
constexpr auto kShrU64 = [](u64 a, u32 b) { return b < 64 ? a >> (b & 63u) : u64{0}; };
constexpr auto kShrS16 = [](u32 a, u32 b) {
  return static_cast<u32>(s32{static_cast<s16>(a)} >> (b < 15 ? b : 15u)) & 0xFFFFu;
};
constexpr auto kShrS32 = [](s32 a, u32 b) { return a >> (b < 31 ? b : 31u); };
constexpr auto kShrS64 = [](s64 a, u32 b) { return a >> (b < 63 ? b : 63u); };

// Funnel shifts of the 64-bit value b:a.
constexpr auto kShfLeftClamp = [](u32 a, u32 b, u32 c) {
  return static_cast<u32>((u64{b} << 32 | a) << (c < 32 ? c : 32u) >> 32);
};
constexpr auto kShfLeftWrap = [](u32 a, u32 b, u32 c) {
  return static_cast<u32>((u64{b} << 32 | a) << (c & 31u) >> 32);
};
constexpr auto kShfRightClamp = [](u32 a, u32 b, u32 c) {
  return static_cast<u32>((u64{b} << 32 | a) >> (c < 32 ? c : 32u));
};
constexpr auto kShfRightWrap = [](u32 a, u32 b, u32 c) {
  return static_cast<u32>((u64{b} << 32 | a) >> (c & 31u));
};

// The field of `length` bits at `position`; beyond the top, zeros or copies of the sign.
template <typename L>
constexpr auto kBfeUnsigned = [](L a, u32 position, u32 length) -> L {
  constexpr u32 kBits = sizeof(L) * 8;
  const u32 from = position & 0xFFu, count = length & 0xFFu;
  const L shifted = from < kBits ? a >> (from & (kBits - 1)) : L{0};
  const L mask = count < kBits ? (L{1} << (count & (kBits - 1))) - 1 : ~L{0};
  return shifted & mask;
};
template <typename L>
constexpr auto kBfeSigned = [](L a, u32 position, u32 length) -> L {
  constexpr u32 kBits = sizeof(L) * 8;
  const u32 from = position & 0xFFu, count = length & 0xFFu;
  const L field = kBfeUnsigned<L>(a, position, length);
  const u32 last = from + count - 1 < kBits - 1 ? from + count - 1 : kBits - 1;
  const L sign = a >> (last & (kBits - 1)) & 1u;
  // Bits at and above this one take the sign: the field's own length, or what was left of the
  // register.
  const u32 left = from < kBits ? kBits - from : 0u;
  const u32 kept = count < left ? count : left;
  const L above = kept < kBits ? ~L{0} << (kept & (kBits - 1)) : L{0};
  return count == 0 ? L{0} : (sign != 0 ? field | above : field);
};
template <typename L>
constexpr auto kBfi = [](L a, L b, u32 position, u32 length) -> L {
  constexpr u32 kBits = sizeof(L) * 8;
  const u32 from = position & 0xFFu, count = length & 0xFFu;
  const L ones = count < kBits ? (L{1} << (count & (kBits - 1))) - 1 : ~L{0};
  const L mask = from < kBits ? ones << (from & (kBits - 1)) : L{0};
  const L moved = from < kBits ? a << (from & (kBits - 1)) : L{0};
  return (moved & mask) | (b & ~mask);
};

constexpr auto kBrev32 = [](u32 a) {
  a = (a >> 1 & 0x55555555u) | (a & 0x55555555u) << 1;
  a = (a >> 2 & 0x33333333u) | (a & 0x33333333u) << 2;
  a = (a >> 4 & 0x0F0F0F0Fu) | (a & 0x0F0F0F0Fu) << 4;
  a = (a >> 8 & 0x00FF00FFu) | (a & 0x00FF00FFu) << 8;
  return a >> 16 | a << 16;
};
constexpr auto kBrev64 = [](u64 a) {
  return u64{kBrev32(static_cast<u32>(a))} << 32 | kBrev32(static_cast<u32>(a >> 32));
};
constexpr auto kPopc32 = [](u32 a) {
  a = a - (a >> 1 & 0x55555555u);
  a = (a & 0x33333333u) + (a >> 2 & 0x33333333u);
  return ((a + (a >> 4)) & 0x0F0F0F0Fu) * 0x01010101u >> 24;
};
constexpr auto kPopc64 = [](u64 a) {
  return kPopc32(static_cast<u32>(a)) + kPopc32(static_cast<u32>(a >> 32));
};
constexpr auto kClz32 = [](u32 a) { return a == 0 ? 32u : static_cast<u32>(__builtin_clz(a)); };
constexpr auto kClz64 = [](u64 a) { return a == 0 ? 64u : static_cast<u32>(__builtin_clzll(a)); };

// Byte permutation: each nibble of c picks a byte of b:a; its top bit asks for the byte's sign in
// all bits.
u32 permuted_byte(u32 a, u32 b, u32 nibble) {
  const u32 byte = ((nibble & 4u) != 0 ? b : a) >> (8 * (nibble & 3u)) & 0xFFu;
  const u32 sign = (byte >> 7) * 0xFFu;
  return (nibble & 8u) != 0 ? sign : byte;
}
constexpr auto kPrmt = [](u32 a, u32 b, u32 c) {
  return permuted_byte(a, b, c) | permuted_byte(a, b, c >> 4) << 8 |
         permuted_byte(a, b, c >> 8) << 16 | permuted_byte(a, b, c >> 12) << 24;
};

template <bool kSignedA, bool kSignedB>
constexpr auto kDp4a = [](u32 a, u32 b, u32 c) {
  u32 sum = c;
  for (u32 i = 0; i < 32; i += 8) {
    const u32 x =
        kSignedA ? static_cast<u32>(static_cast<s32>(a << (24 - i)) >> 24) : a >> i & 255u;
    const u32 y =
        kSignedB ? static_cast<u32>(static_cast<s32>(b << (24 - i)) >> 24) : b >> i & 255u;
    sum += x * y;
  }
  return sum;
};
template <bool kSignedA, bool kSignedB, u32 kFirstByte>
constexpr auto kDp2a = [](u32 a, u32 b, u32 c) {
  u32 sum = c;
  for (u32 i = 0; i < 2; ++i) {
    const u32 half = a << (16 - 16 * i), byte = b << (24 - 8 * (kFirstByte + i));
    const u32 x = kSignedA ? static_cast<u32>(static_cast<s32>(half) >> 16) : half >> 16;
    const u32 y = kSignedB ? static_cast<u32>(static_cast<s32>(byte) >> 24) : byte >> 24;
    sum += x * y;
  }
  return sum;
};

// A predicate's bits choose between two values. The word is a local of the loop, which the compiler
// needs to vectorise it.
template <typename L>
const Op* select(Warp& warp, const Op* op) {
  const Source<L> a(warp, op->a), b(warp, op->b);
  const u32 word = Source<bool>(warp, op->c).word;
  store_lanes<L>(warp, op->d, active_lanes(warp, op), [=](u32 i) {
    const L x = a[i], y = b[i];
    return (word >> i & 1u) != 0 ? x : y;
  });
  return op + 1;
}
template <typename L>
constexpr auto kSlctInt = [](L a, L b, s32 c) { return c >= 0 ? a : b; };
template <typename L>
constexpr auto kSlctFloat = [](L a, L b, float c) { return c >= 0 ? a : b; };
template <typename L>
constexpr auto kSlctFloatFtz = [](L a, L b, float c) {
  // A flushed denormal is a zero, whatever its sign.
  return c > -0x1p-126f ? a : b;
};

template <typename L>
void register_bitwise(FormSink& sink, const char* type, const char* two, const char* one) {
  sink.add({"and.", type}, two, map<kAnd<L>>);
  sink.add({"or.", type}, two, map<kOr<L>>);
  sink.add({"xor.", type}, two, map<kXor<L>>);
  sink.add({"cnot.", type}, one, map<kCnot<L>>);
}

template <bool kA, bool kB>
void register_dots(FormSink& sink, const char* types) {
  sink.add({"dp4a", types}, "wwww", map<kDp4a<kA, kB>>);
  sink.add({"dp2a.lo", types}, "wwww", map<kDp2a<kA, kB, 0>>);
  sink.add({"dp2a.hi", types}, "wwww", map<kDp2a<kA, kB, 2>>);
}

template <typename L>
void register_slct(FormSink& sink, const char* types, const char* by_int, const char* by_float) {
  sink.add({"slct", types, ".s32"}, by_int, map<kSlctInt<L>>);
  sink.add({"slct", types, ".f32"}, by_float, map<kSlctFloat<L>>);
  sink.add({"slct.ftz", types, ".f32"}, by_float, map<kSlctFloatFtz<L>>);
}

void register_shifts(FormSink& sink) {
  sink.add("shl.b16", "hhw", map<kShl16>);
  sink.add("shl.b32", "www", map<kShl32>);
  sink.add("shl.b64", "ddw", map<kShl64>);
  sink.add("shr.{u16,b16}", "hhw", map<kShrU16>);
  sink.add("shr.{u32,b32}", "www", map<kShrU32>);
  sink.add("shr.{u64,b64}", "ddw", map<kShrU64>);
  sink.add("shr.s16", "hhw", map<kShrS16>);
  sink.add("shr.s32", "www", map<kShrS32>);
  sink.add("shr.s64", "ddw", map<kShrS64>);
  sink.add("shf.l.clamp.b32", "wwww", map<kShfLeftClamp>);
  sink.add("shf.l.wrap.b32", "wwww", map<kShfLeftWrap>);
  sink.add("shf.r.clamp.b32", "wwww", map<kShfRightClamp>);
  sink.add("shf.r.wrap.b32", "wwww", map<kShfRightWrap>);
}

}  // namespace

void register_logic(FormSink& sink) {
  register_bitwise<u32>(sink, "b16", "hhh", "hh");
  register_bitwise<u32>(sink, "b32", "www", "ww");
  register_bitwise<u64>(sink, "b64", "ddd", "dd");
  sink.add("not.b16", "hh", map<kNot16>);
  sink.add("not.b32", "ww", map<kNot<u32>>);
  sink.add("not.b64", "dd", map<kNot<u64>>);
  sink.add("and.pred", "ppp", map_words<kAnd<u32>>);
  sink.add("or.pred", "ppp", map_words<kOr<u32>>);
  sink.add("xor.pred", "ppp", map_words<kXor<u32>>);
  sink.add("not.pred", "pp", map_words<kNotWord>);
  sink.add("mov.pred", "pp", map_words<kMoveWord>);
  register_shifts(sink);

  sink.add("bfe.u32", "wwww", map<kBfeUnsigned<u32>>);
  sink.add("bfe.s32", "wwww", map<kBfeSigned<u32>>);
  sink.add("bfe.u64", "ddww", map<kBfeUnsigned<u64>>);
  sink.add("bfe.s64", "ddww", map<kBfeSigned<u64>>);
  sink.add("bfi.b32", "wwwww", map<kBfi<u32>>);
  sink.add("bfi.b64", "dddww", map<kBfi<u64>>);
  sink.add("brev.b32", "ww", map<kBrev32>);
  sink.add("brev.b64", "dd", map<kBrev64>);
  sink.add("popc.b32", "ww", map<kPopc32>);
  sink.add("popc.b64", "wd", map<kPopc64>);
  sink.add("clz.b32", "ww", map<kClz32>);
  sink.add("clz.b64", "wd", map<kClz64>);
  sink.add("prmt.b32", "wwww", map<kPrmt>);
  register_dots<false, false>(sink, ".u32.u32");
  register_dots<false, true>(sink, ".u32.s32");
  register_dots<true, false>(sink, ".s32.u32");
  register_dots<true, true>(sink, ".s32.s32");

  sink.add("selp.{b16,u16,s16}", "hhhp", select<u32>);
  sink.add("selp.{b32,u32,s32}", "wwwp", select<u32>);
  sink.add("selp.f32", "fffp", select<u32>);
  sink.add("selp.{b64,u64,s64}", "dddp", select<u64>);
  sink.add("selp.f64", "gggp", select<u64>);
  register_slct<u32>(sink, ".{b16,u16,s16}", "hhhw", "hhhf");
  register_slct<u32>(sink, ".{b32,u32,s32}", "wwww", "wwwf");
  register_slct<u32>(sink, ".f32", "fffw", "ffff");
  register_slct<u64>(sink, ".{b64,u64,s64}", "dddw", "dddf");
  register_slct<u64>(sink, ".f64", "gggw", "gggf");
}

}  // namespace ptx_emulator::lanes::PTX_LANES_ISA
