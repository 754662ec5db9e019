// Arithmetic of f16 and bf16, alone and in pairs, and f32 arithmetic with 16-bit operands.

#include "tests/ptx_emulator/machine/lanes/approximate.h"

namespace ptx_emulator::lanes::PTX_LANES_ISA {
namespace {

// What becomes of a result: nothing, [0, 1], or no negative numbers.
enum class Clamp { kNone, kSat, kRelu };

template <typename Format, bool kFtz, Clamp kClamp>
u32 narrow(float x) {
  if constexpr (kClamp == Clamp::kSat) x = saturate<true>(x);
  if constexpr (kClamp == Clamp::kRelu) x = x > 0.0f || x != x ? x : 0.0f;
  const u32 half = Format::narrow(x);
  if constexpr (!kFtz) return half;
  return (half & 0x7C00u) == 0 ? half & 0x8000u : half;
}
template <typename Format, bool kFtz>
float widen(u32 half) {
  return flush_half<Format, kFtz>(Format::widen(half));
}

// An f32 sum or product of two halves, rounded again, is the correctly rounded one: 24 bits are
// twice 11 and two more.
template <typename Format, bool kFtz, Clamp kClamp>
constexpr auto kAdd = [](u32 a, u32 b) {
  return narrow<Format, kFtz, kClamp>(widen<Format, kFtz>(a) + widen<Format, kFtz>(b));
};
template <typename Format, bool kFtz, Clamp kClamp>
constexpr auto kSub = [](u32 a, u32 b) {
  return narrow<Format, kFtz, kClamp>(widen<Format, kFtz>(a) - widen<Format, kFtz>(b));
};
// Not so a product of bf16 that is denormal in f32, or one of f16: those round to odd first.
template <typename Format, bool kFtz, Clamp kClamp>
constexpr auto kMul = [](u32 a, u32 b) {
  const double product = static_cast<double>(widen<Format, kFtz>(a)) * widen<Format, kFtz>(b);
  return narrow<Format, kFtz, kClamp>(round_to_odd(product));
};
template <typename Format, bool kFtz, Clamp kClamp>
constexpr auto kFma = [](u32 a, u32 b, u32 c) {
  return narrow<Format, kFtz, kClamp>(
      Format::fma(widen<Format, kFtz>(a), widen<Format, kFtz>(b), widen<Format, kFtz>(c)));
};
template <typename Format, bool kFtz, bool kIsMax, bool kNan, bool kXorSign>
constexpr auto kExtreme = [](u32 a, u32 b) {
  const u32 sign = kXorSign ? (a ^ b) & 0x8000u : 0u, kept = kXorSign ? 0x7FFFu : 0xFFFFu;
  const float x = widen<Format, kFtz>(a & kept), y = widen<Format, kFtz>(b & kept);
  const float extreme = kIsMax ? maximum<kNan>(x, y) : minimum<kNan>(x, y);
  const u32 half = narrow<Format, kFtz, Clamp::kNone>(extreme);
  return extreme == extreme ? half | sign : half;
};
template <bool kFtz>
u32 flushed_f16(u32 half) {
  return kFtz && (half & 0x7C00u) == 0 ? half & 0x8000u : half;
}
template <bool kFtz>
constexpr auto kNeg = [](u32 a) { return flushed_f16<kFtz>(a) ^ 0x8000u; };
template <bool kFtz>
constexpr auto kAbs = [](u32 a) { return flushed_f16<kFtz>(a) & 0x7FFFu; };

template <typename Format>
constexpr auto kTanh = [](u32 a) { return Format::narrow(tanh_lane(Format::widen(a))); };
constexpr auto kEx2 = [](u32 a) { return F16::narrow(exp2_lane(F16::widen(a))); };
constexpr auto kEx2Bf16Ftz = [](u32 a) {
  return Bf16::narrow(flush<true>(exp2_lane(flush<true>(Bf16::widen(a)))));
};

// Both halves of a word.
template <auto kF>
constexpr auto kOnPair = [](u32 a) { return kF(a & 0xFFFFu) | kF(a >> 16) << 16; };
template <auto kF>
constexpr auto kOnPairs =
    [](u32 a, u32 b) { return kF(a & 0xFFFFu, b & 0xFFFFu) | kF(a >> 16, b >> 16) << 16; };
template <auto kF>
constexpr auto kOnTriples = [](u32 a, u32 b, u32 c) {
  return kF(a & 0xFFFFu, b & 0xFFFFu, c & 0xFFFFu) | kF(a >> 16, b >> 16, c >> 16) << 16;
};

// One function for single values and for pairs; `head` is everything before the type.
template <auto kF>
void add_unary(FormSink& sink, const char* head, const char* type) {
  sink.add({head, ".", type}, "hh", map<kF>);
  sink.add({head, ".", type, "x2"}, "ww", map<kOnPair<kF>>);
}
template <auto kF>
void add_binary(FormSink& sink, const char* head, const char* option, const char* type) {
  sink.add({head, option, ".", type}, "hhh", map<kF>);
  sink.add({head, option, ".", type, "x2"}, "www", map<kOnPairs<kF>>);
}
template <auto kF>
void add_ternary(FormSink& sink, const char* head, const char* option, const char* type) {
  sink.add({head, option, ".", type}, "hhhh", map<kF>);
  sink.add({head, option, ".", type, "x2"}, "wwww", map<kOnTriples<kF>>);
}

template <typename Format, bool kFtz, Clamp kClamp>
void register_sums(FormSink& sink, const char* option, const char* type) {
  add_binary<kAdd<Format, kFtz, kClamp>>(sink, "add{,.rn}", option, type);
  add_binary<kSub<Format, kFtz, kClamp>>(sink, "sub{,.rn}", option, type);
  add_binary<kMul<Format, kFtz, kClamp>>(sink, "mul{,.rn}", option, type);
  add_ternary<kFma<Format, kFtz, kClamp>>(sink, "fma.rn", option, type);
}

template <typename Format, bool kFtz, bool kIsMax>
void register_extremes(FormSink& sink, const char* ftz, const char* type) {
  const char* opcode = kIsMax ? "max" : "min";
  add_binary<kExtreme<Format, kFtz, kIsMax, false, false>>(sink, opcode, ftz, type);
  const auto add = [&](const char* option, Handler single, Handler pair) {
    sink.add({opcode, ftz, option, ".", type}, "hhh", single);
    sink.add({opcode, ftz, option, ".", type, "x2"}, "www", pair);
  };
  add(".NaN", map<kExtreme<Format, kFtz, kIsMax, true, false>>,
      map<kOnPairs<kExtreme<Format, kFtz, kIsMax, true, false>>>);
  add(".xorsign.abs", map<kExtreme<Format, kFtz, kIsMax, false, true>>,
      map<kOnPairs<kExtreme<Format, kFtz, kIsMax, false, true>>>);
  add(".NaN.xorsign.abs", map<kExtreme<Format, kFtz, kIsMax, true, true>>,
      map<kOnPairs<kExtreme<Format, kFtz, kIsMax, true, true>>>);
}

// f32 arithmetic whose factors, or first term, are 16 bits wide.
template <typename Format, bool kSat>
constexpr auto kMixedFma = [](u32 a, u32 b, float c) {
  return finish<false, kSat>(__builtin_fmaf(Format::widen(a), Format::widen(b), c));
};
template <typename Format, bool kSat>
constexpr auto kMixedAdd = [](u32 a, float c) { return finish<false, kSat>(Format::widen(a) + c); };
template <typename Format, bool kSat>
constexpr auto kMixedSub = [](u32 a, float c) { return finish<false, kSat>(Format::widen(a) - c); };
template <typename Format, bool kSat, Round kRound>
void register_mixed(FormSink& sink, const char* optional_round, const char* round,
                    const char* type) {
  const char* sat = kSat ? ".sat.f32." : ".f32.";
  sink.add({"fma", round, sat, type}, "fhhf", map<kMixedFma<Format, kSat>, kRound>);
  sink.add({"add", optional_round, sat, type}, "fhf", map<kMixedAdd<Format, kSat>, kRound>);
  sink.add({"sub", optional_round, sat, type}, "fhf", map<kMixedSub<Format, kSat>, kRound>);
}
template <typename Format, Round kRound>
void register_mixed_rounding(FormSink& sink, const char* optional_round, const char* round,
                             const char* type) {
  register_mixed<Format, false, kRound>(sink, optional_round, round, type);
  register_mixed<Format, true, kRound>(sink, optional_round, round, type);
}
template <typename Format>
void register_format(FormSink& sink, const char* type) {
  register_mixed_rounding<Format, Round::kNearest>(sink, "{,.rn}", ".rn", type);
  register_mixed_rounding<Format, Round::kZero>(sink, ".rz", ".rz", type);
  register_mixed_rounding<Format, Round::kDown>(sink, ".rm", ".rm", type);
  register_mixed_rounding<Format, Round::kUp>(sink, ".rp", ".rp", type);
  register_sums<Format, false, Clamp::kNone>(sink, "", type);
  add_ternary<kFma<Format, false, Clamp::kRelu>>(sink, "fma.rn", ".relu", type);
  register_extremes<Format, false, false>(sink, "", type);
  register_extremes<Format, false, true>(sink, "", type);
  add_unary<kNeg<false>>(sink, "neg", type);
  add_unary<kAbs<false>>(sink, "abs", type);
  add_unary<kTanh<Format>>(sink, "tanh.approx", type);
}

}  // namespace

void register_half(FormSink& sink) {
  register_format<F16>(sink, "f16");
  register_format<Bf16>(sink, "bf16");
  register_sums<F16, true, Clamp::kNone>(sink, ".ftz", "f16");
  register_sums<F16, false, Clamp::kSat>(sink, ".sat", "f16");
  register_sums<F16, true, Clamp::kSat>(sink, ".ftz.sat", "f16");
  add_ternary<kFma<F16, true, Clamp::kRelu>>(sink, "fma.rn", ".ftz.relu", "f16");
  register_extremes<F16, true, false>(sink, ".ftz", "f16");
  register_extremes<F16, true, true>(sink, ".ftz", "f16");
  add_unary<kNeg<true>>(sink, "neg.ftz", "f16");
  add_unary<kAbs<true>>(sink, "abs.ftz", "f16");
  add_unary<kEx2>(sink, "ex2.approx", "f16");
  add_unary<kEx2Bf16Ftz>(sink, "ex2.approx.ftz", "bf16");
}

}  // namespace ptx_emulator::lanes::PTX_LANES_ISA
