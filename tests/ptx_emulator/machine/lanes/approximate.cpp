// The .approx instructions of f32.

#include "tests/ptx_emulator/machine/lanes/approximate.h"

namespace ptx_emulator::lanes::PTX_LANES_ISA {
namespace {

template <bool kFtz>
constexpr auto kRcp = [](float a) { return finish<kFtz, false>(1.0f / flush<kFtz>(a)); };
template <bool kFtz>
constexpr auto kSqrt = [](float a) { return finish<kFtz, false>(__builtin_sqrtf(flush<kFtz>(a))); };
template <bool kFtz>
constexpr auto kRsqrt =
    [](float a) { return finish<kFtz, false>(1.0f / __builtin_sqrtf(flush<kFtz>(a))); };
template <bool kFtz>
constexpr auto kDivFull =
    [](float a, float b) { return finish<kFtz, false>(flush<kFtz>(a) / flush<kFtz>(b)); };
// Above 2^126 the hardware's reciprocal of b is a flushed zero: a quotient of 0, or NaN for an
// infinite a.
template <bool kFtz>
constexpr auto kDiv = [](float a, float b) {
  const float x = flush<kFtz>(a), y = flush<kFtz>(b);
  const float magnitude = __builtin_fabsf(y);
  const float reciprocal = __builtin_copysignf(0.0f, y);
  const bool huge = magnitude > 0x1p126f && magnitude < __builtin_inff();
  return finish<kFtz, false>(huge ? x * reciprocal : x / y);
};
template <bool kFtz>
constexpr auto kEx2 = [](float a) { return finish<kFtz, false>(exp2_lane(flush<kFtz>(a))); };
template <bool kFtz>
constexpr auto kLg2 = [](float a) { return finish<kFtz, false>(log2_lane(flush<kFtz>(a))); };
template <bool kFtz>
constexpr auto kSin = [](float a) { return finish<kFtz, false>(__builtin_sinf(flush<kFtz>(a))); };
template <bool kFtz>
constexpr auto kCos = [](float a) { return finish<kFtz, false>(__builtin_cosf(flush<kFtz>(a))); };
constexpr auto kTanh = [](float a) { return tanh_lane(a); };

template <bool kFtz>
void register_flushed(FormSink& sink, const char* type) {
  sink.add({"rcp.approx", type}, "ff", map<kRcp<kFtz>>);
  sink.add({"sqrt.approx", type}, "ff", map<kSqrt<kFtz>>);
  sink.add({"rsqrt.approx", type}, "ff", map<kRsqrt<kFtz>>);
  sink.add({"div.full", type}, "fff", map<kDivFull<kFtz>>);
  sink.add({"div.approx", type}, "fff", map<kDiv<kFtz>>);
  sink.add({"ex2.approx", type}, "ff", map<kEx2<kFtz>>);
  sink.add({"lg2.approx", type}, "ff", map<kLg2<kFtz>>);
  sink.add({"sin.approx", type}, "ff", map<kSin<kFtz>>);
  sink.add({"cos.approx", type}, "ff", map<kCos<kFtz>>);
}

}  // namespace

void register_approximate(FormSink& sink) {
  register_flushed<false>(sink, ".f32");
  register_flushed<true>(sink, ".ftz.f32");
  sink.add("tanh.approx.f32", "ff", map<kTanh>);
}

}  // namespace ptx_emulator::lanes::PTX_LANES_ISA
