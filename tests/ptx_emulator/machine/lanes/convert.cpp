// The common conversions; soft_float.h has the rest. Internal names: "$cvt.D.S.XY" for integers,
// where X and Y are the bytes of the lanes (4 or 8) of registers that may be wider than their type,
// and names without registers' widths for what only occurs at its natural width.

#include "tests/ptx_emulator/machine/lanes/numbers.h"

namespace ptx_emulator::lanes::PTX_LANES_ISA {
namespace {

// Integer to integer. In a 4-byte lane Op::small keeps the bits that the destination's register
// has.
template <typename D, typename S, typename DLane, typename SLane>
const Op* convert_integer(Warp& warp, const Op* op) {
  const Source<SLane> a(warp, op->a);
  const u32 mask = op->small;
  store_lanes<DLane>(warp, op->d, active_lanes(warp, op), [&](u32 i) {
    const DLane value = static_cast<DLane>(static_cast<D>(static_cast<S>(a[i])));
    if constexpr (sizeof(DLane) == 4) return static_cast<u32>(value) & mask;
    return value;
  });
  return op + 1;
}

template <typename D, typename S>
void add_integer(FormSink& sink, const char* d, const char* s) {
  if constexpr (sizeof(D) <= 4 && sizeof(S) <= 4) {
    sink.add({"$cvt.", d, ".", s, ".44"}, "ww", convert_integer<D, S, u32, u32>);
  }
  if constexpr (sizeof(D) <= 4) {
    sink.add({"$cvt.", d, ".", s, ".48"}, "wd", convert_integer<D, S, u32, u64>);
  }
  if constexpr (sizeof(S) <= 4) {
    sink.add({"$cvt.", d, ".", s, ".84"}, "dw", convert_integer<D, S, u64, u32>);
  }
  sink.add({"$cvt.", d, ".", s, ".88"}, "dd", convert_integer<D, S, u64, u64>);
}
template <typename D>
void add_integers_to(FormSink& sink, const char* d) {
  add_integer<D, std::uint8_t>(sink, d, "u8");
  add_integer<D, std::int8_t>(sink, d, "s8");
  add_integer<D, u16>(sink, d, "u16");
  add_integer<D, s16>(sink, d, "s16");
  add_integer<D, u32>(sink, d, "u32");
  add_integer<D, s32>(sink, d, "s32");
  add_integer<D, u64>(sink, d, "u64");
  add_integer<D, s64>(sink, d, "s64");
}

// Floating to integer: rounded, clamped to the type's range. A NaN gives 0, but where 64 bits are
// involved only the top bit.
constexpr auto kNearestEven = [](double x) { return __builtin_rint(x); };
constexpr auto kTruncated = [](double x) { return __builtin_trunc(x); };
constexpr auto kFloor = [](double x) { return __builtin_floor(x); };
constexpr auto kCeiling = [](double x) { return __builtin_ceil(x); };

template <typename D>
D clamped(double x) {
  constexpr bool kSigned = std::is_signed_v<D>;
  constexpr double kLimit = (kSigned ? 0.5 : 1.0) * (sizeof(D) == 8 ? 0x1p64 : 0x1p32);
  constexpr D kMost =
      static_cast<D>(kSigned ? ~std::make_unsigned_t<D>(0) >> 1 : ~std::make_unsigned_t<D>(0));
  constexpr D kLeast = static_cast<D>(static_cast<std::make_unsigned_t<D>>(kMost) + 1u);
  const bool inside = x < kLimit && x > (kSigned ? -kLimit : -1.0);
  const D least = kSigned ? kLeast : D{0};
  return inside ? static_cast<D>(x) : (x < 0 ? least : kMost);
}
template <typename D, auto kRounded, bool kSourceIsF64>
D integer_of(double x) {
  constexpr D kOfNan = kSourceIsF64 || sizeof(D) == 8
                           ? static_cast<D>(std::make_unsigned_t<D>(1) << (sizeof(D) * 8 - 1))
                           : D{0};
  return x == x ? clamped<D>(kRounded(x)) : kOfNan;
}
template <typename D, auto kRounded, bool kFtz>
constexpr auto kFromF32 = [](float a) { return integer_of<D, kRounded, false>(flush<kFtz>(a)); };
template <typename D, auto kRounded>
constexpr auto kFromF64 = [](double a) { return integer_of<D, kRounded, true>(a); };
template <typename D, auto kRounded, typename Format>
constexpr auto kFromHalf = [](u32 a) { return integer_of<D, kRounded, false>(Format::widen(a)); };

template <typename D, auto kRounded>
void add_rounded_integer(FormSink& sink, const char* round, const char* type) {
  const bool wide = sizeof(D) == 8;
  sink.add({"$cvt.", round, type, ".f32"}, wide ? "df" : "wf", map<kFromF32<D, kRounded, false>>);
  sink.add({"$cvt.", round, ".ftz", type, ".f32"}, wide ? "df" : "wf",
           map<kFromF32<D, kRounded, true>>);
  sink.add({"$cvt.", round, type, ".f64"}, wide ? "dg" : "wg", map<kFromF64<D, kRounded>>);
  sink.add({"$cvt.", round, type, ".f16"}, wide ? "dh" : "wh", map<kFromHalf<D, kRounded, F16>>);
  sink.add({"$cvt.", round, type, ".bf16"}, wide ? "dh" : "wh", map<kFromHalf<D, kRounded, Bf16>>);
}
template <typename D>
void add_floating_to(FormSink& sink, const char* type) {
  add_rounded_integer<D, kNearestEven>(sink, "rni", type);
  add_rounded_integer<D, kTruncated>(sink, "rzi", type);
  add_rounded_integer<D, kFloor>(sink, "rmi", type);
  add_rounded_integer<D, kCeiling>(sink, "rpi", type);
}

// Integer to floating, to nearest.
template <typename D, typename S, typename SLane>
constexpr auto kToFloat = [](SLane a) { return static_cast<D>(static_cast<S>(a)); };
template <typename S, typename SLane>
void add_to_floating(FormSink& sink, const char* type, const char* to_f32, const char* to_f64) {
  sink.add({"$cvt.rn.f32.", type}, to_f32, map<kToFloat<float, S, SLane>>);
  sink.add({"$cvt.rn.f64.", type}, to_f64, map<kToFloat<double, S, SLane>>);
}

template <typename Format>
constexpr auto kWiden = [](u32 a) { return canonical(Format::widen(a)); };
constexpr auto kWidenF64 = [](float a) {
  return a == a ? static_cast<double>(a) : double_of(kNan64);
};
template <bool kFtz>
constexpr auto kNarrowF64 = [](double a) { return finish<kFtz, false>(static_cast<float>(a)); };
template <typename Format>
constexpr auto kNarrow = [](float a) { return Format::narrow(a); };
template <typename Format, bool kRelu>
constexpr auto kNarrowPair = [](float upper, float lower) {
  if constexpr (kRelu) {
    upper = upper > 0.0f || upper != upper ? upper : 0.0f;
    lower = lower > 0.0f || lower != lower ? lower : 0.0f;
  }
  return Format::narrow(upper) << 16 | Format::narrow(lower);
};
template <auto kRounded, bool kFtz, bool kSat>
constexpr auto kWholeF32 =
    [](float a) { return finish<kFtz, kSat>(static_cast<float>(kRounded(flush<kFtz>(a)))); };
template <bool kFtz, bool kSat>
constexpr auto kSameF32 = [](float a) { return finish<kFtz, kSat>(flush<kFtz>(a)); };

// To tf32, which keeps the upper 19 bits: to nearest, ties away from zero.
constexpr auto kTf32Away = [](u32 a) {
  const u32 magnitude = a & 0x7FFFFFFFu;
  const u32 finite = (a + 0x1000u) & 0xFFFFE000u;
  return magnitude > 0x7F800000u ? kNan32 : (magnitude == 0x7F800000u ? a : finite);
};

template <auto kRounded>
void add_whole(FormSink& sink, const char* round) {
  sink.add({"$cvt.", round, ".f32.f32"}, "ff", map<kWholeF32<kRounded, false, false>>);
  sink.add({"$cvt.", round, ".ftz.f32.f32"}, "ff", map<kWholeF32<kRounded, true, false>>);
  sink.add({"$cvt.", round, ".f64.f64"}, "gg", map<kRounded>);
}

void register_floating(FormSink& sink) {
  sink.add("$cvt.f32.f16", "fh", map<kWiden<F16>>);
  sink.add("$cvt.f32.bf16", "fh", map<kWiden<Bf16>>);
  sink.add("$cvt.f64.f32", "gf", map<kWidenF64>);
  sink.add("$cvt.rn.f32.f64", "fg", map<kNarrowF64<false>>);
  sink.add("$cvt.rn.ftz.f32.f64", "fg", map<kNarrowF64<true>>);
  sink.add("$cvt.rz.f32.f64", "fg", map<kNarrowF64<false>, Round::kZero>);
  sink.add("$cvt.rm.f32.f64", "fg", map<kNarrowF64<false>, Round::kDown>);
  sink.add("$cvt.rp.f32.f64", "fg", map<kNarrowF64<false>, Round::kUp>);
  sink.add("$cvt.rn.f16.f32", "hf", map<kNarrow<F16>>);
  sink.add("$cvt.rn.bf16.f32", "hf", map<kNarrow<Bf16>>);
  sink.add("$cvt.rn.f16x2.f32", "wff", map<kNarrowPair<F16, false>>);
  sink.add("$cvt.rn.bf16x2.f32", "wff", map<kNarrowPair<Bf16, false>>);
  sink.add("$cvt.rn.relu.f16x2.f32", "wff", map<kNarrowPair<F16, true>>);
  sink.add("$cvt.rn.relu.bf16x2.f32", "wff", map<kNarrowPair<Bf16, true>>);
  sink.add("$cvt.rna.tf32.f32", "wf", map<kTf32Away>);
  sink.add("$cvt.f32.f32", "ff", map<kSameF32<false, false>>);
  sink.add("$cvt.ftz.f32.f32", "ff", map<kSameF32<true, false>>);
  sink.add("$cvt.sat.f32.f32", "ff", map<kSameF32<false, true>>);
  sink.add("$cvt.ftz.sat.f32.f32", "ff", map<kSameF32<true, true>>);
  add_whole<kNearestEven>(sink, "rni");
  add_whole<kTruncated>(sink, "rzi");
  add_whole<kFloor>(sink, "rmi");
  add_whole<kCeiling>(sink, "rpi");
}

}  // namespace

void register_convert(FormSink& sink) {
  add_integers_to<std::uint8_t>(sink, "u8");
  add_integers_to<std::int8_t>(sink, "s8");
  add_integers_to<u16>(sink, "u16");
  add_integers_to<s16>(sink, "s16");
  add_integers_to<u32>(sink, "u32");
  add_integers_to<s32>(sink, "s32");
  add_integers_to<u64>(sink, "u64");
  add_integers_to<s64>(sink, "s64");
  add_floating_to<u32>(sink, ".u32");
  add_floating_to<s32>(sink, ".s32");
  add_floating_to<u64>(sink, ".u64");
  add_floating_to<s64>(sink, ".s64");
  add_to_floating<std::uint8_t, u32>(sink, "u8", "fh", "gh");
  add_to_floating<std::int8_t, u32>(sink, "s8", "fh", "gh");
  add_to_floating<u16, u32>(sink, "u16", "fh", "gh");
  add_to_floating<s16, u32>(sink, "s16", "fh", "gh");
  add_to_floating<u32, u32>(sink, "u32", "fw", "gw");
  add_to_floating<s32, u32>(sink, "s32", "fw", "gw");
  add_to_floating<u64, u64>(sink, "u64", "fd", "gd");
  add_to_floating<s64, u64>(sink, "s64", "fd", "gd");
  register_floating(sink);
}

}  // namespace ptx_emulator::lanes::PTX_LANES_ISA
