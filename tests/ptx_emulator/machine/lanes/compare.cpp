// Comparisons of every type into predicates. Internal forms: setp and set put them together with
// their Boolean part.

#include "tests/ptx_emulator/machine/lanes/numbers.h"

namespace ptx_emulator::lanes::PTX_LANES_ISA {
namespace {

// Readings of a lane.
template <typename T, typename L>
struct AsInteger {
  using Lane = L;
  static T value(L lane) { return static_cast<T>(lane); }
};
template <bool kFtz>
struct AsFloat {
  using Lane = float;
  static float value(float lane) { return flush<kFtz>(lane); }
};
struct AsDouble {
  using Lane = double;
  static double value(double lane) { return lane; }
};
// One half of a lane; 0 is the lower.
template <typename Format, bool kFtz, u32 kHalf>
struct AsHalf {
  using Lane = u32;
  static float value(u32 lane) {
    const u32 half = kHalf == 0 ? lane & 0xFFFFu : lane >> 16;
    return flush_half<Format, kFtz>(Format::widen(half));
  }
};

template <typename Reading>
using LaneOf = typename Reading::Lane;
template <typename R>
constexpr auto kEq = [](LaneOf<R> a, LaneOf<R> b) { return R::value(a) == R::value(b); };
template <typename R>
constexpr auto kNe = [](LaneOf<R> a, LaneOf<R> b) { return R::value(a) != R::value(b); };
template <typename R>
constexpr auto kLt = [](LaneOf<R> a, LaneOf<R> b) { return R::value(a) < R::value(b); };
template <typename R>
constexpr auto kLe = [](LaneOf<R> a, LaneOf<R> b) { return R::value(a) <= R::value(b); };
template <typename R>
constexpr auto kGt = [](LaneOf<R> a, LaneOf<R> b) { return R::value(b) < R::value(a); };
template <typename R>
constexpr auto kGe = [](LaneOf<R> a, LaneOf<R> b) { return R::value(b) <= R::value(a); };

// Floating comparisons without `u` are false where an operand is NaN, those with it are true.
template <typename R>
constexpr auto kOrderedNe =
    [](LaneOf<R> a, LaneOf<R> b) { return R::value(a) < R::value(b) || R::value(b) < R::value(a); };
template <typename R>
constexpr auto kEqu = [](LaneOf<R> a, LaneOf<R> b) { return !kOrderedNe<R>(a, b); };
template <typename R>
constexpr auto kLtu = [](LaneOf<R> a, LaneOf<R> b) { return !kGe<R>(a, b); };
template <typename R>
constexpr auto kLeu = [](LaneOf<R> a, LaneOf<R> b) { return !kGt<R>(a, b); };
template <typename R>
constexpr auto kGtu = [](LaneOf<R> a, LaneOf<R> b) { return !kLe<R>(a, b); };
template <typename R>
constexpr auto kGeu = [](LaneOf<R> a, LaneOf<R> b) { return !kLt<R>(a, b); };
template <typename R>
constexpr auto kNum = [](LaneOf<R> a, LaneOf<R> b) {
  return R::value(a) == R::value(a) && R::value(b) == R::value(b);
};
template <typename R>
constexpr auto kNan = [](LaneOf<R> a, LaneOf<R> b) {
  return R::value(a) != R::value(a) || R::value(b) != R::value(b);
};

template <typename R>
void register_equality(FormSink& sink, const char* type, const char* operands) {
  sink.add({"$compare.eq.", type}, operands, map<kEq<R>>);
  sink.add({"$compare.ne.", type}, operands, map<kNe<R>>);
}
template <typename R>
void register_order(FormSink& sink, bool is_unsigned, const char* type, const char* operands) {
  sink.add({is_unsigned ? "$compare.{lt,lo}." : "$compare.lt.", type}, operands, map<kLt<R>>);
  sink.add({is_unsigned ? "$compare.{le,ls}." : "$compare.le.", type}, operands, map<kLe<R>>);
  sink.add({is_unsigned ? "$compare.{gt,hi}." : "$compare.gt.", type}, operands, map<kGt<R>>);
  sink.add({is_unsigned ? "$compare.{ge,hs}." : "$compare.ge.", type}, operands, map<kGe<R>>);
}
template <typename R>
void register_floating(FormSink& sink, const char* type, const char* operands) {
  register_order<R>(sink, false, type, operands);
  sink.add({"$compare.eq.", type}, operands, map<kEq<R>>);
  sink.add({"$compare.ne.", type}, operands, map<kOrderedNe<R>>);
  sink.add({"$compare.equ.", type}, operands, map<kEqu<R>>);
  sink.add({"$compare.neu.", type}, operands, map<kNe<R>>);
  sink.add({"$compare.ltu.", type}, operands, map<kLtu<R>>);
  sink.add({"$compare.leu.", type}, operands, map<kLeu<R>>);
  sink.add({"$compare.gtu.", type}, operands, map<kGtu<R>>);
  sink.add({"$compare.geu.", type}, operands, map<kGeu<R>>);
  sink.add({"$compare.num.", type}, operands, map<kNum<R>>);
  sink.add({"$compare.nan.", type}, operands, map<kNan<R>>);
}

}  // namespace

void register_compare(FormSink& sink) {
  register_equality<AsInteger<u32, u32>>(sink, "{b16,u16,s16}", "phh");
  register_equality<AsInteger<u32, u32>>(sink, "{b32,u32,s32}", "pww");
  register_equality<AsInteger<u64, u64>>(sink, "{b64,u64,s64}", "pdd");
  register_order<AsInteger<u32, u32>>(sink, true, "u16", "phh");
  register_order<AsInteger<u32, u32>>(sink, true, "u32", "pww");
  register_order<AsInteger<u64, u64>>(sink, true, "u64", "pdd");
  register_order<AsInteger<s16, u32>>(sink, false, "s16", "phh");
  register_order<AsInteger<s32, u32>>(sink, false, "s32", "pww");
  register_order<AsInteger<s64, u64>>(sink, false, "s64", "pdd");
  register_floating<AsFloat<false>>(sink, "f32", "pff");
  register_floating<AsFloat<true>>(sink, "ftz.f32", "pff");
  register_floating<AsDouble>(sink, "f64", "pgg");
  register_floating<AsHalf<F16, false, 0>>(sink, "{f16,f16x2}", "phh");
  register_floating<AsHalf<F16, true, 0>>(sink, "ftz.{f16,f16x2}", "phh");
  register_floating<AsHalf<Bf16, false, 0>>(sink, "{bf16,bf16x2}", "phh");
  register_floating<AsHalf<F16, false, 1>>(sink, "upper.f16x2", "pww");
  register_floating<AsHalf<F16, true, 1>>(sink, "upper.ftz.f16x2", "pww");
  register_floating<AsHalf<Bf16, false, 1>>(sink, "upper.bf16x2", "pww");
}

}  // namespace ptx_emulator::lanes::PTX_LANES_ISA
