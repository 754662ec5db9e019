// Rare integer instructions, lane by lane, for every x86-64 processor.

#define PTX_LANES_ISA scalar
#include "tests/ptx_emulator/machine/lanes/map.h"

namespace ptx_emulator::lanes {
namespace scalar {
void register_video(FormSink& sink);
namespace {

// Position of the highest bit that differs from the sign (of unsigned values: that is set); all
// ones where none does.
template <typename T, bool kShiftAmount>
constexpr auto kBfind = [](std::make_unsigned_t<T> a) -> u32 {
  using U = std::make_unsigned_t<T>;
  constexpr u32 kBits = sizeof(T) * 8;
  const U value = std::is_signed_v<T> && static_cast<T>(a) < 0 ? static_cast<U>(~a) : a;
  if (value == 0) return ~0u;
  const u32 position = 63u - static_cast<u32>(__builtin_clzll(u64{value}));
  return kShiftAmount ? kBits - 1 - position : position;
};

constexpr auto kFns = [](u32 mask, u32 base, s32 offset) -> u32 {
  if (base > 31) return ~0u;
  if (offset == 0) return (mask >> base & 1u) != 0 ? base : ~0u;
  s64 left = offset > 0 ? s64{offset} - 1 : -s64{offset} - 1;
  const s32 step = offset > 0 ? 1 : -1;
  for (s32 at = static_cast<s32>(base); at >= 0 && at < 32; at += step) {
    if ((mask >> at & 1u) != 0 && left-- == 0) return static_cast<u32>(at);
  }
  return ~0u;
};

// Ones from bit a on, b of them; a and b modulo 32, or (clamp) beyond the word.
template <bool kClamp>
constexpr auto kBmsk = [](u32 a, u32 b) -> u32 {
  const u32 from = a & 31u, count = b & 31u;
  if (kClamp && a > 31) return 0;
  const u32 mask = ~0u << from;
  const bool to_the_top = from + count > 31 || (kClamp && b > 31);
  return to_the_top ? mask : mask & ~(~0u << (from + count));
};

template <bool kSigned, bool kClamp>
constexpr auto kSzext = [](u32 a, u32 width) -> u32 {
  if (kClamp && width > 31) return a;
  const u32 count = width & 31u;
  const u32 above = ~0u << count;
  const bool negative = kSigned && count != 0 && (a >> (count - 1) & 1u) != 0;
  return (a & ~above) | (negative ? above : 0u);
};

// The modes of prmt that compute their selectors from the two lowest bits of c: byte i of the
// result is the returned index into b:a.
u32 forward(u32 c, u32 i) {
  return c + i;
}
u32 backward(u32 c, u32 i) {
  return (c - i) & 7u;
}
u32 replicate(u32 c, u32) {
  return c;
}
u32 clamp_left(u32 c, u32 i) {
  return i > c ? i : c;
}
u32 clamp_right(u32 c, u32 i) {
  return i < c ? i : c;
}
u32 replicate_half(u32 c, u32 i) {
  return (c & 1u) * 2 + (i & 1u);
}
template <auto kSelect>
constexpr auto kPrmt = [](u32 a, u32 b, u32 c) -> u32 {
  const u64 bytes = u64{b} << 32 | a;
  u32 result = 0;
  for (u32 i = 0; i < 4; ++i) {
    result |= static_cast<u32>(bytes >> 8 * kSelect(c & 3u, i) & 0xFFu) << 8 * i;
  }
  return result;
};

// Classes of floating-point numbers; zeros count as normal.
struct Classes {
  bool nan, infinite, denormal;
};
Classes classes(u64 magnitude, u32 fraction_bits, u64 top) {
  const u64 exponent = magnitude >> fraction_bits;
  const u64 fraction = magnitude & ((u64{1} << fraction_bits) - 1);
  return {exponent == top && fraction != 0, exponent == top && fraction == 0,
          exponent == 0 && fraction != 0};
}
bool is_finite(Classes c) {
  return !c.nan && !c.infinite;
}
bool is_infinite(Classes c) {
  return c.infinite;
}
bool is_number(Classes c) {
  return !c.nan;
}
bool is_nan(Classes c) {
  return c.nan;
}
bool is_normal(Classes c) {
  return !c.nan && !c.infinite && !c.denormal;
}
bool is_denormal(Classes c) {
  return c.denormal;
}
template <auto kTest>
constexpr auto kTestF32 = [](u32 a) -> bool { return kTest(classes(a & 0x7FFFFFFFu, 23, 0xFF)); };
template <auto kTest>
constexpr auto kTestF64 =
    [](u64 a) -> bool { return kTest(classes(a & 0x7FFFFFFFFFFFFFFFu, 52, 0x7FF)); };

template <auto kTest>
void register_test(FormSink& sink, const char* name) {
  sink.add({"testp.", name, ".f32"}, "pf", map<kTestF32<kTest>>);
  sink.add({"testp.", name, ".f64"}, "pg", map<kTestF64<kTest>>);
}

template <typename T>
void register_bfind(FormSink& sink, const char* type, const char* operands) {
  sink.add({"bfind.", type}, operands, map<kBfind<T, false>>);
  sink.add({"bfind.shiftamt.", type}, operands, map<kBfind<T, true>>);
}

// cvt.pack: two values clamped to 16 bits, or clamped to fewer bits and shifted in below those of
// c.
template <s32 kLeast, s32 kMost>
u32 clamped(s32 value) {
  value = value < kLeast ? kLeast : value;
  return static_cast<u32>(value > kMost ? kMost : value);
}
template <u32 kBits, s32 kLeast, s32 kMost>
u32 packed(s32 a, s32 b) {
  constexpr u32 kMask = (1u << kBits) - 1;
  return (clamped<kLeast, kMost>(a) & kMask) << kBits | (clamped<kLeast, kMost>(b) & kMask);
}
template <s32 kLeast, s32 kMost>
constexpr auto kPack16 = [](s32 a, s32 b) { return packed<16, kLeast, kMost>(a, b); };
template <u32 kBits, s32 kLeast, s32 kMost>
constexpr auto kPackBelow =
    [](s32 a, s32 b, u32 c) { return c << 2 * kBits | packed<kBits, kLeast, kMost>(a, b); };

void register_packs(FormSink& sink) {
  sink.add("cvt.pack.sat.u16.s32", "www", map<kPack16<0, 65535>>);
  sink.add("cvt.pack.sat.s16.s32", "www", map<kPack16<-32768, 32767>>);
  sink.add("cvt.pack.sat.u8.s32.b32", "wwww", map<kPackBelow<8, 0, 255>>);
  sink.add("cvt.pack.sat.s8.s32.b32", "wwww", map<kPackBelow<8, -128, 127>>);
  sink.add("cvt.pack.sat.u4.s32.b32", "wwww", map<kPackBelow<4, 0, 15>>);
  sink.add("cvt.pack.sat.s4.s32.b32", "wwww", map<kPackBelow<4, -8, 7>>);
  sink.add("cvt.pack.sat.u2.s32.b32", "wwww", map<kPackBelow<2, 0, 3>>);
  sink.add("cvt.pack.sat.s2.s32.b32", "wwww", map<kPackBelow<2, -2, 1>>);
}

}  // namespace
}  // namespace scalar

void register_scalar_forms(FormSink& sink) {
  using namespace scalar;
  register_bfind<u32>(sink, "u32", "ww");
  register_bfind<s32>(sink, "s32", "ww");
  register_bfind<u64>(sink, "u64", "wd");
  register_bfind<s64>(sink, "s64", "wd");
  sink.add("fns.b32", "wwww", map<kFns>);
  sink.add("bmsk.clamp.b32", "www", map<kBmsk<true>>);
  sink.add("bmsk.wrap.b32", "www", map<kBmsk<false>>);
  sink.add("szext.clamp.u32", "www", map<kSzext<false, true>>);
  sink.add("szext.wrap.u32", "www", map<kSzext<false, false>>);
  sink.add("szext.clamp.s32", "www", map<kSzext<true, true>>);
  sink.add("szext.wrap.s32", "www", map<kSzext<true, false>>);
  sink.add("prmt.b32.f4e", "wwww", map<kPrmt<forward>>);
  sink.add("prmt.b32.b4e", "wwww", map<kPrmt<backward>>);
  sink.add("prmt.b32.rc8", "wwww", map<kPrmt<replicate>>);
  sink.add("prmt.b32.ecl", "wwww", map<kPrmt<clamp_left>>);
  sink.add("prmt.b32.ecr", "wwww", map<kPrmt<clamp_right>>);
  sink.add("prmt.b32.rc16", "wwww", map<kPrmt<replicate_half>>);
  register_test<is_finite>(sink, "finite");
  register_test<is_infinite>(sink, "infinite");
  register_test<is_number>(sink, "number");
  register_test<is_nan>(sink, "notanumber");
  register_test<is_normal>(sink, "normal");
  register_test<is_denormal>(sink, "subnormal");
  register_packs(sink);
  register_video(sink);
}

}  // namespace ptx_emulator::lanes
