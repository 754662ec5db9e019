// f16 and bf16 arithmetic against exact sums rounded by table; f32 arithmetic with 16-bit operands.

#include <cfenv>
#include <cmath>

#include "tests/catch.h"
#include "tests/ptx_emulator/tests/opcode_harness.h"
#include "tests/ptx_emulator/tests/reference_format.h"

namespace ptx_emulator::testing {
namespace {

// Options of a 16-bit instruction.
struct Options {
  const char* type;
  bool ftz = false, sat = false, relu = false;

  bool is_f16() const { return type[0] == 'f'; }
  const ReferenceFormat& format() const { return is_f16() ? reference_f16() : reference_bf16(); }
  bool is_denormal(u64 half) const {
    const u64 magnitude = half & 0x7FFFu;
    return magnitude != 0 && magnitude < (is_f16() ? 0x400u : 0x80u);
  }
  u64 flushed(u64 half) const { return ftz && is_denormal(half) ? half & 0x8000u : half; }
  long double read(u64 half) const {
    return static_cast<long double>(format().decode(flushed(half & 0xFFFFu)));
  }
  // The exact number high + low as this instruction returns it.
  u64 write(long double high, double low) const {
    if (sat && (std::isnan(high) || high <= 0)) return 0;
    if (sat && high > 1) high = 1;
    if (relu && high <= 0) return 0;
    return flushed(format().encode(high, low, Direction::kNearestEven, false));
  }
  std::string suffix() const {
    return std::string(ftz ? ".ftz" : "") + (sat ? ".sat" : "") + (relu ? ".relu" : "") + "." +
           type;
  }
};

// The sum of two numbers that each fit a long double: rounded to odd would lose nothing, so its
// error is kept.
u64 sum(const Options& options, long double a, long double b) {
  const long double high = a + b;
  if (!std::isfinite(high)) return options.write(high, 0);
  const long double part = high - a;
  const long double low = (a - (high - part)) + (b - part);
  return options.write(high, low < 0 ? -1 : (low > 0 ? 1 : 0));
}

using OfHalves = std::function<u64(u64, u64, u64)>;

// The instruction for one value and for pairs.
void add_both(std::vector<Case>& cases, const std::string& pattern, u32 num_sources,
              const OfHalves& f) {
  cases.push_back({pattern, std::string(num_sources + 1, 'h'),
                   [=](const Sources& s) { return f(s[0], s[1], s[2]); }});
  cases.push_back({pattern + "x2", std::string(num_sources + 1, 'w'), [=](const Sources& s) {
                     return f(s[0] & 0xFFFFu, s[1] & 0xFFFFu, s[2] & 0xFFFFu) |
                            f(s[0] >> 16, s[1] >> 16, s[2] >> 16) << 16;
                   }});
}

void add_sums(std::vector<Case>& cases, const Options& o) {
  const std::string end = o.suffix();
  add_both(cases, "fma.rn" + end, 3,
           [=](u64 a, u64 b, u64 c) { return sum(o, o.read(a) * o.read(b), o.read(c)); });
  if (o.relu) return;
  add_both(cases, "add{,.rn}" + end, 2,
           [=](u64 a, u64 b, u64) { return sum(o, o.read(a), o.read(b)); });
  add_both(cases, "sub{,.rn}" + end, 2,
           [=](u64 a, u64 b, u64) { return sum(o, o.read(a), -o.read(b)); });
  add_both(cases, "mul{,.rn}" + end, 2,
           [=](u64 a, u64 b, u64) { return o.write(o.read(a) * o.read(b), 0); });
}

u64 extreme(const Options& o, u64 a, u64 b, bool is_max, bool nan_wins) {
  const long double x = o.read(a), y = o.read(b);
  if ((std::isnan(x) && std::isnan(y)) || (nan_wins && (std::isnan(x) || std::isnan(y))))
    return 0x7FFF;
  if (std::isnan(x)) return o.flushed(b);
  if (std::isnan(y)) return o.flushed(a);
  if (x == 0 && y == 0) return o.flushed(std::signbit(x) == is_max ? b : a);
  return o.flushed((x < y) == is_max ? b : a);
}

void add_extremes(std::vector<Case>& cases, const Options& o) {
  for (const bool is_max : {false, true}) {
    for (const bool nan : {false, true}) {
      const std::string head =
          std::string(is_max ? "max" : "min") + (o.ftz ? ".ftz" : "") + (nan ? ".NaN" : "");
      add_both(cases, head + "." + o.type, 2,
               [=](u64 a, u64 b, u64) { return extreme(o, a, b, is_max, nan); });
      add_both(cases, head + ".xorsign.abs." + o.type, 2, [=](u64 a, u64 b, u64) {
        const u64 found = extreme(o, a & 0x7FFFu, b & 0x7FFFu, is_max, nan);
        return found == 0x7FFF ? found : found | ((a ^ b) & 0x8000u);
      });
    }
  }
}

void add_unary(std::vector<Case>& cases, const Options& o) {
  const std::string ftz = o.ftz ? ".ftz." : ".";
  add_both(cases, "neg" + ftz + o.type, 1, [=](u64 a, u64, u64) { return o.flushed(a) ^ 0x8000u; });
  add_both(cases, "abs" + ftz + o.type, 1, [=](u64 a, u64, u64) { return o.flushed(a) & 0x7FFFu; });
}

template <typename F>
float in_mode(int mode, F f) {
  std::fesetround(mode);
  const volatile float value = f();
  std::fesetround(FE_TONEAREST);
  return value;
}

void add_mixed(std::vector<Case>& cases, const Options& o) {
  struct Mode {
    const char *optional, *required;
    int host;
  };
  const Mode kModes[] = {{"{,.rn}", ".rn", FE_TONEAREST},
                         {".rz", ".rz", FE_TOWARDZERO},
                         {".rm", ".rm", FE_DOWNWARD},
                         {".rp", ".rp", FE_UPWARD}};
  for (const Mode& mode : kModes) {
    for (const bool sat : {false, true}) {
      const std::string end = std::string(sat ? ".sat" : "") + ".f32." + o.type;
      const int host = mode.host;
      const auto finish = [=](float x) {
        if (sat) x = std::isnan(x) || !(x > 0) ? 0.0f : std::fmin(x, 1.0f);
        return result(x);
      };
      const auto wide = [=](u64 half) { return static_cast<float>(o.read(half)); };
      cases.push_back({std::string("fma") + mode.required + end, "fhhf", [=](const Sources& s) {
                         const volatile float a = wide(s[0]), b = wide(s[1]), c = to_float(s[2]);
                         return finish(in_mode(host, [&] { return std::fma(a, b, c); }));
                       }});
      cases.push_back({std::string("add") + mode.optional + end, "fhf", [=](const Sources& s) {
                         const volatile float a = wide(s[0]), c = to_float(s[1]);
                         return finish(in_mode(host, [&] { return a + c; }));
                       }});
      cases.push_back({std::string("sub") + mode.optional + end, "fhf", [=](const Sources& s) {
                         const volatile float a = wide(s[0]), c = to_float(s[1]);
                         return finish(in_mode(host, [&] { return a - c; }));
                       }});
    }
  }
}

}  // namespace

std::vector<Case> half_cases() {
  std::vector<Case> cases;
  for (const Options& o :
       {Options{"f16"}, Options{"bf16"}, Options{"f16", true}, Options{"f16", false, true},
        Options{"f16", true, true}, Options{"f16", false, false, true},
        Options{"bf16", false, false, true}, Options{"f16", true, false, true}}) {
    add_sums(cases, o);
  }
  for (const Options& o : {Options{"f16"}, Options{"bf16"}, Options{"f16", true}}) {
    add_extremes(cases, o);
    add_unary(cases, o);
  }
  add_mixed(cases, Options{"f16"});
  add_mixed(cases, Options{"bf16"});
  return cases;
}

TEST_CASE("16-bit arithmetic is the exact result rounded once", "[ptx]") {
  check_cases(half_cases());
}

TEST_CASE("a bf16 fma sees an addend far below the tie", "[ptx]") {
  SingleInstruction instruction("fma.rn.bf16 %h0, %h1, %h2, %h3");
  // (1 + 2^-7)(1 + 2^-1) lies on a tie: 1.5 + 1.5/128; a tiny addend decides.
  const u64 tiny[] = {0x0000, 0x0080, 0x8080};
  const u64 a = 0x3F81, b = 0x3FC0;
  for (u32 lane = 0; lane < kWarpLanes; ++lane) {
    instruction.set('h', 1, lane, a);
    instruction.set('h', 2, lane, b);
    instruction.set('h', 3, lane, tiny[lane % 3]);
  }
  instruction.run(~0u);
  CHECK(instruction.get('h', 0, 0) == 0x3FC2);
  CHECK(instruction.get('h', 0, 1) == 0x3FC2);
  CHECK(instruction.get('h', 0, 2) == 0x3FC1);
}

TEST_CASE("16-bit approximations are within two units of the exact functions", "[ptx]") {
  struct Function {
    const char* name;
    bool is_f16;
    double (*f)(double);
  };
  const auto exp2 = [](double x) { return std::exp2(x); };
  const auto tanh = [](double x) { return std::tanh(x); };
  for (const Function& function :
       {Function{"ex2.approx.f16", true, exp2}, Function{"tanh.approx.f16", true, tanh},
        Function{"ex2.approx.ftz.bf16", false, exp2}, Function{"tanh.approx.bf16", false, tanh}}) {
    const ReferenceFormat& format = function.is_f16 ? reference_f16() : reference_bf16();
    SingleInstruction single(std::string(function.name) + " %h0, %h1");
    SingleInstruction pair(std::string(function.name) + "x2 %w0, %w1");
    for (u32 base = 0; base < 0x10000; base += kWarpLanes * 7) {
      for (u32 lane = 0; lane < kWarpLanes; ++lane) {
        const u64 half = (base + 7 * lane) & 0xFFFFu;
        single.set('h', 1, lane, half);
        pair.set('w', 1, lane, half | (half ^ 0x1234u) << 16);
      }
      single.run(~0u);
      pair.run(~0u);
      for (u32 lane = 0; lane < kWarpLanes; ++lane) {
        const u64 half = single.get('h', 1, lane), actual = single.get('h', 0, lane);
        CHECK((pair.get('w', 0, lane) & 0xFFFFu) == actual);
        const u64 exact = format.encode(static_cast<long double>(function.f(format.decode(half))));
        const bool flushed = !function.is_f16 && (exact & 0x7FFFu) < 0x80u;
        const u64 difference = exact > actual ? exact - actual : actual - exact;
        INFO(function.name << " of " << half << ": " << actual << " for " << exact);
        CHECK((difference <= 1 || (flushed && (actual & 0x7FFFu) == 0)));
      }
    }
  }
}

}  // namespace ptx_emulator::testing
