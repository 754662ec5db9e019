// Arithmetic of f64.

#include "tests/ptx_emulator/machine/lanes/numbers.h"

namespace ptx_emulator::lanes::PTX_LANES_ISA {
namespace {

constexpr auto kAdd = [](double a, double b) { return a + b; };
constexpr auto kSub = [](double a, double b) { return a - b; };
constexpr auto kMul = [](double a, double b) { return a * b; };
constexpr auto kFma = [](double a, double b, double c) { return __builtin_fma(a, b, c); };
constexpr auto kDiv = [](double a, double b) { return a / b; };
constexpr auto kRcp = [](double a) { return 1.0 / a; };
constexpr auto kSqrt = [](double a) { return __builtin_sqrt(a); };
constexpr auto kNeg = [](double a) { return -a; };
constexpr auto kAbs = [](double a) { return __builtin_fabs(a); };
constexpr auto kCopysign = [](double a, double b) { return __builtin_copysign(b, a); };

constexpr auto kMin = [](double a, double b) {
  const double least = a < b ? a : (b < a ? b : double_of(bits_of(a) | bits_of(b)));
  return canonical(a != a ? b : (b != b ? a : least));
};
constexpr auto kMax = [](double a, double b) {
  const double most = a < b ? b : (b < a ? a : double_of(bits_of(a) & bits_of(b)));
  return canonical(a != a ? b : (b != b ? a : most));
};

// The coarse f64 approximations work on the upper words: the lower word of the result is zero,
// denormals are flushed.
double upper_word(double x) {
  const u64 bits = bits_of(x) & 0xFFFFFFFF00000000u;
  const u64 sign = bits & 0x8000000000000000u;
  return __builtin_fabs(x) < 0x1p-1022 ? double_of(sign) : double_of(bits);
}
// What is NaN stays one when its lower word goes.
double coarse(double x) {
  return x == x ? upper_word(x) : double_of(0x7FFFFFFF00000000u);
}
constexpr auto kRcpCoarse = [](double a) { return coarse(1.0 / upper_word(a)); };
constexpr auto kRsqrtCoarse = [](double a) { return coarse(1.0 / __builtin_sqrt(upper_word(a))); };
constexpr auto kRsqrt = [](double a) { return canonical(1.0 / __builtin_sqrt(a)); };

template <Round kRound>
void register_rounded(FormSink& sink, const char* optional_round, const char* round) {
  sink.add({"add", optional_round, ".f64"}, "ggg", map<kAdd, kRound>);
  sink.add({"sub", optional_round, ".f64"}, "ggg", map<kSub, kRound>);
  sink.add({"mul", optional_round, ".f64"}, "ggg", map<kMul, kRound>);
  sink.add({"{fma,mad}", round, ".f64"}, "gggg", map<kFma, kRound>);
  sink.add({"div", round, ".f64"}, "ggg", map<kDiv, kRound>);
  sink.add({"rcp", round, ".f64"}, "gg", map<kRcp, kRound>);
  sink.add({"sqrt", round, ".f64"}, "gg", map<kSqrt, kRound>);
}

}  // namespace

void register_float64(FormSink& sink) {
  register_rounded<Round::kNearest>(sink, "{,.rn}", ".rn");
  register_rounded<Round::kZero>(sink, ".rz", ".rz");
  register_rounded<Round::kDown>(sink, ".rm", ".rm");
  register_rounded<Round::kUp>(sink, ".rp", ".rp");
  sink.add("min.f64", "ggg", map<kMin>);
  sink.add("max.f64", "ggg", map<kMax>);
  sink.add("neg.f64", "gg", map<kNeg>);
  sink.add("abs.f64", "gg", map<kAbs>);
  sink.add("copysign.f64", "ggg", map<kCopysign>);
  sink.add("rcp.approx.ftz.f64", "gg", map<kRcpCoarse>);
  sink.add("rsqrt.approx.ftz.f64", "gg", map<kRsqrtCoarse>);
  sink.add("rsqrt.approx.f64", "gg", map<kRsqrt>);
}

}  // namespace ptx_emulator::lanes::PTX_LANES_ISA
