// Arithmetic of f32, correctly rounded; f32x2 by halves of a 64-bit lane.

#include "tests/ptx_emulator/machine/lanes/numbers.h"

namespace ptx_emulator::lanes::PTX_LANES_ISA {
namespace {

template <bool kFtz, bool kSat>
constexpr auto kAdd =
    [](float a, float b) { return finish<kFtz, kSat>(flush<kFtz>(a) + flush<kFtz>(b)); };
template <bool kFtz, bool kSat>
constexpr auto kSub =
    [](float a, float b) { return finish<kFtz, kSat>(flush<kFtz>(a) - flush<kFtz>(b)); };
template <bool kFtz, bool kSat>
constexpr auto kMul =
    [](float a, float b) { return finish<kFtz, kSat>(flush<kFtz>(a) * flush<kFtz>(b)); };
template <bool kFtz, bool kSat>
constexpr auto kFma = [](float a, float b, float c) {
  return finish<kFtz, kSat>(__builtin_fmaf(flush<kFtz>(a), flush<kFtz>(b), flush<kFtz>(c)));
};
template <bool kFtz>
constexpr auto kDiv =
    [](float a, float b) { return finish<kFtz, false>(flush<kFtz>(a) / flush<kFtz>(b)); };
template <bool kFtz>
constexpr auto kRcp = [](float a) { return finish<kFtz, false>(1.0f / flush<kFtz>(a)); };
template <bool kFtz>
constexpr auto kSqrt = [](float a) { return finish<kFtz, false>(__builtin_sqrtf(flush<kFtz>(a))); };
template <bool kFtz>
constexpr auto kNeg = [](float a) { return -flush<kFtz>(a); };
template <bool kFtz>
constexpr auto kAbs = [](float a) { return __builtin_fabsf(flush<kFtz>(a)); };
constexpr auto kCopysign = [](float a, float b) { return __builtin_copysignf(b, a); };

// Smaller or larger, with the options that Ampere added: NaN wins; signs apart and xor-ed.
template <bool kIsMax, bool kFtz, bool kNan, bool kXorSign>
constexpr auto kExtreme = [](float a, float b) {
  a = flush<kFtz>(a);
  b = flush<kFtz>(b);
  if constexpr (!kXorSign) return kIsMax ? maximum<kNan>(a, b) : minimum<kNan>(a, b);
  const u32 sign = (bits_of(a) ^ bits_of(b)) & 0x80000000u;
  const float x = __builtin_fabsf(a), y = __builtin_fabsf(b);
  const float extreme = kIsMax ? maximum<kNan>(x, y) : minimum<kNan>(x, y);
  return extreme == extreme ? float_of(bits_of(extreme) | sign) : extreme;
};
template <bool kIsMax, bool kFtz, bool kNan>
constexpr auto kExtreme3 = [](float a, float b, float c) {
  return kExtreme<kIsMax, kFtz, kNan, false>(kExtreme<kIsMax, kFtz, kNan, false>(a, b), c);
};

// Both halves of two packed operands.
template <auto kF>
constexpr auto kPair = [](u64 a, u64 b) {
  const float low = kF(float_of(static_cast<u32>(a)), float_of(static_cast<u32>(b)));
  const float high = kF(float_of(static_cast<u32>(a >> 32)), float_of(static_cast<u32>(b >> 32)));
  return u64{bits_of(high)} << 32 | bits_of(low);
};
template <auto kF>
constexpr auto kPair3 = [](u64 a, u64 b, u64 c) {
  const float low = kF(float_of(static_cast<u32>(a)), float_of(static_cast<u32>(b)),
                       float_of(static_cast<u32>(c)));
  const float high = kF(float_of(static_cast<u32>(a >> 32)), float_of(static_cast<u32>(b >> 32)),
                        float_of(static_cast<u32>(c >> 32)));
  return u64{bits_of(high)} << 32 | bits_of(low);
};

template <Round kRound, bool kFtz, bool kSat>
void register_sums(FormSink& sink, const char* optional_round, const char* round) {
  const char* ftz = kFtz ? ".ftz" : "";
  const char* sat = kSat ? ".sat" : "";
  sink.add({"add", optional_round, ftz, sat, ".f32"}, "fff", map<kAdd<kFtz, kSat>, kRound>);
  sink.add({"sub", optional_round, ftz, sat, ".f32"}, "fff", map<kSub<kFtz, kSat>, kRound>);
  sink.add({"mul", optional_round, ftz, sat, ".f32"}, "fff", map<kMul<kFtz, kSat>, kRound>);
  sink.add({"{fma,mad}", round, ftz, sat, ".f32"}, "ffff", map<kFma<kFtz, kSat>, kRound>);
}

template <Round kRound, bool kFtz>
void register_rounded(FormSink& sink, const char* optional_round, const char* round) {
  const char* ftz = kFtz ? ".ftz" : "";
  register_sums<kRound, kFtz, false>(sink, optional_round, round);
  register_sums<kRound, kFtz, true>(sink, optional_round, round);
  sink.add({"div", round, ftz, ".f32"}, "fff", map<kDiv<kFtz>, kRound>);
  sink.add({"rcp", round, ftz, ".f32"}, "ff", map<kRcp<kFtz>, kRound>);
  sink.add({"sqrt", round, ftz, ".f32"}, "ff", map<kSqrt<kFtz>, kRound>);
  sink.add({"add", optional_round, ftz, ".f32x2"}, "ddd", map<kPair<kAdd<kFtz, false>>, kRound>);
  sink.add({"sub", optional_round, ftz, ".f32x2"}, "ddd", map<kPair<kSub<kFtz, false>>, kRound>);
  sink.add({"mul", optional_round, ftz, ".f32x2"}, "ddd", map<kPair<kMul<kFtz, false>>, kRound>);
  sink.add({"fma", round, ftz, ".f32x2"}, "dddd", map<kPair3<kFma<kFtz, false>>, kRound>);
}

template <bool kIsMax, bool kFtz>
void register_extremes(FormSink& sink) {
  const char* opcode = kIsMax ? "max" : "min";
  const char* ftz = kFtz ? ".ftz" : "";
  sink.add({opcode, ftz, ".f32"}, "fff", map<kExtreme<kIsMax, kFtz, false, false>>);
  sink.add({opcode, ftz, ".NaN.f32"}, "fff", map<kExtreme<kIsMax, kFtz, true, false>>);
  sink.add({opcode, ftz, ".xorsign.abs.f32"}, "fff", map<kExtreme<kIsMax, kFtz, false, true>>);
  sink.add({opcode, ftz, ".NaN.xorsign.abs.f32"}, "fff", map<kExtreme<kIsMax, kFtz, true, true>>);
  sink.add({"$three.", opcode, ftz, ".f32"}, "ffff", map<kExtreme3<kIsMax, kFtz, false>>);
  sink.add({"$three.", opcode, ftz, ".NaN.f32"}, "ffff", map<kExtreme3<kIsMax, kFtz, true>>);
}

template <bool kFtz>
void register_flushed(FormSink& sink) {
  const char* ftz = kFtz ? ".ftz" : "";
  register_rounded<Round::kNearest, kFtz>(sink, "{,.rn}", ".rn");
  register_rounded<Round::kZero, kFtz>(sink, ".rz", ".rz");
  register_rounded<Round::kDown, kFtz>(sink, ".rm", ".rm");
  register_rounded<Round::kUp, kFtz>(sink, ".rp", ".rp");
  register_extremes<false, kFtz>(sink);
  register_extremes<true, kFtz>(sink);
  sink.add({"neg", ftz, ".f32"}, "ff", map<kNeg<kFtz>>);
  sink.add({"abs", ftz, ".f32"}, "ff", map<kAbs<kFtz>>);
}

}  // namespace

void register_float32(FormSink& sink) {
  register_flushed<false>(sink);
  register_flushed<true>(sink);
  sink.add("copysign.f32", "fff", map<kCopysign>);
}

}  // namespace ptx_emulator::lanes::PTX_LANES_ISA
