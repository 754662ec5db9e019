// f32 and f64 arithmetic against the host's, under each rounding mode; approximations within the
// manual's bounds.

#include <cfenv>
#include <cmath>

#include "tests/catch.h"
#include "tests/ptx_emulator/tests/opcode_harness.h"

namespace ptx_emulator::testing {
namespace {

struct Mode {
  const char* optional;  // for instructions with a default
  const char* required;
  int host;
};
constexpr Mode kModes[] = {{"{,.rn}", ".rn", FE_TONEAREST},
                           {".rz", ".rz", FE_TOWARDZERO},
                           {".rm", ".rm", FE_DOWNWARD},
                           {".rp", ".rp", FE_UPWARD}};

// Volatile operands keep the host's compiler from moving arithmetic across the change of mode.
template <typename T>
T rounded(int mode, T (*f)(T, T, T), T a, T b, T c) {
  volatile T x = a, y = b, z = c;
  std::fesetround(mode);
  volatile T value = f(x, y, z);
  std::fesetround(FE_TONEAREST);
  return value;
}

bool is_tiny(float x) {
  return std::fpclassify(x) == FP_SUBNORMAL;
}
float flushed(bool ftz, float x) {
  return ftz && is_tiny(x) ? std::copysign(0.0f, x) : x;
}
float clamped(bool sat, float x) {
  return !sat ? x : (std::isnan(x) || !(x > 0) ? 0.0f : std::min(x, 1.0f));
}

using F32 = float (*)(float, float, float);
using F64 = double (*)(double, double, double);

u64 f32_result(const Sources& s, F32 f, int mode, bool ftz, bool sat) {
  const float value = rounded(mode, f, flushed(ftz, to_float(s[0])), flushed(ftz, to_float(s[1])),
                              flushed(ftz, to_float(s[2])));
  return result(clamped(sat, flushed(ftz, value)));
}

void add_f32(std::vector<Case>& cases, const std::string& pattern, u32 num_sources, F32 f, int mode,
             bool ftz, bool sat) {
  cases.push_back({pattern, std::string(num_sources + 1, 'f'),
                   [=](const Sources& s) { return f32_result(s, f, mode, ftz, sat); }});
}

// Two independent f32 values in 64 bits.
void add_f32x2(std::vector<Case>& cases, const std::string& pattern, u32 num_sources, F32 f,
               int mode, bool ftz) {
  cases.push_back({pattern, std::string(num_sources + 1, 'd'), [=](const Sources& s) {
                     const Sources high = {s[0] >> 32, s[1] >> 32, s[2] >> 32};
                     return f32_result(high, f, mode, ftz, false) << 32 |
                            f32_result(s, f, mode, ftz, false);
                   }});
}

float add3(float a, float b, float) {
  return a + b;
}
float sub3(float a, float b, float) {
  return a - b;
}
float mul3(float a, float b, float) {
  return a * b;
}
float div3(float a, float b, float) {
  return a / b;
}
float fma3(float a, float b, float c) {
  return std::fma(a, b, c);
}
float rcp3(float a, float, float) {
  return 1.0f / a;
}
float sqrt3(float a, float, float) {
  return std::sqrt(a);
}

void add_rounded(std::vector<Case>& cases, const Mode& mode, bool ftz) {
  const std::string f = ftz ? ".ftz" : "";
  for (const bool sat : {false, true}) {
    const std::string end = f + (sat ? ".sat.f32" : ".f32");
    add_f32(cases, std::string("add") + mode.optional + end, 2, add3, mode.host, ftz, sat);
    add_f32(cases, std::string("sub") + mode.optional + end, 2, sub3, mode.host, ftz, sat);
    add_f32(cases, std::string("mul") + mode.optional + end, 2, mul3, mode.host, ftz, sat);
    add_f32(cases, std::string("{fma,mad}") + mode.required + end, 3, fma3, mode.host, ftz, sat);
  }
  add_f32(cases, std::string("div") + mode.required + f + ".f32", 2, div3, mode.host, ftz, false);
  add_f32(cases, std::string("rcp") + mode.required + f + ".f32", 1, rcp3, mode.host, ftz, false);
  add_f32(cases, std::string("sqrt") + mode.required + f + ".f32", 1, sqrt3, mode.host, ftz, false);
  add_f32x2(cases, std::string("add") + mode.optional + f + ".f32x2", 2, add3, mode.host, ftz);
  add_f32x2(cases, std::string("sub") + mode.optional + f + ".f32x2", 2, sub3, mode.host, ftz);
  add_f32x2(cases, std::string("mul") + mode.optional + f + ".f32x2", 2, mul3, mode.host, ftz);
  add_f32x2(cases, std::string("fma") + mode.required + f + ".f32x2", 3, fma3, mode.host, ftz);
}

// Smaller or larger by the rules of the manual.
float extreme(float a, float b, bool is_max, bool nan_wins) {
  if (std::isnan(a) && std::isnan(b)) return a;
  if (std::isnan(a)) return nan_wins ? a : b;
  if (std::isnan(b)) return nan_wins ? b : a;
  if (a == 0 && b == 0) return std::signbit(a) == is_max ? b : a;
  return (a < b) == is_max ? b : a;
}

void add_extremes(std::vector<Case>& cases, bool is_max, bool ftz) {
  const std::string head = std::string(is_max ? "max" : "min") + (ftz ? ".ftz" : "");
  for (const bool nan : {false, true}) {
    const std::string middle = head + (nan ? ".NaN" : "");
    cases.push_back({middle + ".f32", "fff", [=](const Sources& s) {
                       return result(extreme(flushed(ftz, to_float(s[0])),
                                             flushed(ftz, to_float(s[1])), is_max, nan));
                     }});
    cases.push_back({middle + ".f32", "ffff", [=](const Sources& s) {
                       const float first = extreme(flushed(ftz, to_float(s[0])),
                                                   flushed(ftz, to_float(s[1])), is_max, nan);
                       return result(extreme(first, flushed(ftz, to_float(s[2])), is_max, nan));
                     }});
    cases.push_back({middle + ".xorsign.abs.f32", "fff", [=](const Sources& s) {
                       const float a = flushed(ftz, to_float(s[0])),
                                   b = flushed(ftz, to_float(s[1]));
                       const float x = extreme(std::fabs(a), std::fabs(b), is_max, nan);
                       return result(std::signbit(a) != std::signbit(b) ? -x : x);
                     }});
  }
}

void add_signs(std::vector<Case>& cases) {
  for (const bool ftz : {false, true}) {
    const std::string f = ftz ? ".ftz.f32" : ".f32";
    cases.push_back({"neg" + f, "ff", [=](const Sources& s) {
                       return of_float(flushed(ftz, to_float(s[0]))) ^ 0x80000000u;
                     }});
    cases.push_back({"abs" + f, "ff", [=](const Sources& s) {
                       return of_float(flushed(ftz, to_float(s[0]))) & 0x7FFFFFFFu;
                     }});
  }
  constexpr u64 kSign = u64{1} << 63;
  cases.push_back({"neg.f64", "gg", [=](const Sources& s) { return s[0] ^ kSign; }});
  cases.push_back({"abs.f64", "gg", [=](const Sources& s) { return s[0] & ~kSign; }});
  cases.push_back({"copysign.f32", "fff",
                   [](const Sources& s) { return (s[0] & 0x80000000u) | (s[1] & 0x7FFFFFFFu); }});
  cases.push_back(
      {"copysign.f64", "ggg", [=](const Sources& s) { return (s[0] & kSign) | (s[1] & ~kSign); }});
}

void add_f64(std::vector<Case>& cases, const std::string& pattern, u32 num_sources, F64 f,
             int mode) {
  cases.push_back({pattern, std::string(num_sources + 1, 'g'), [=](const Sources& s) {
                     return of_double(
                         rounded(mode, f, to_double(s[0]), to_double(s[1]), to_double(s[2])));
                   }});
}

void add_doubles(std::vector<Case>& cases) {
  for (const Mode& mode : kModes) {
    const std::string r = std::string(mode.required) + ".f64",
                      o = std::string(mode.optional) + ".f64";
    add_f64(
        cases, "add" + o, 2, [](double a, double b, double) { return a + b; }, mode.host);
    add_f64(
        cases, "sub" + o, 2, [](double a, double b, double) { return a - b; }, mode.host);
    add_f64(
        cases, "mul" + o, 2, [](double a, double b, double) { return a * b; }, mode.host);
    add_f64(
        cases, "div" + r, 2, [](double a, double b, double) { return a / b; }, mode.host);
    add_f64(
        cases, "rcp" + r, 1, [](double a, double, double) { return 1.0 / a; }, mode.host);
    add_f64(
        cases, "sqrt" + r, 1, [](double a, double, double) { return std::sqrt(a); }, mode.host);
    add_f64(
        cases, "{fma,mad}" + r, 3, [](double a, double b, double c) { return std::fma(a, b, c); },
        mode.host);
  }
  for (const bool is_max : {false, true}) {
    cases.push_back({is_max ? "max.f64" : "min.f64", "ggg", [=](const Sources& s) {
                       const double a = to_double(s[0]), b = to_double(s[1]);
                       if (std::isnan(a)) return s[1];
                       if (std::isnan(b)) return s[0];
                       if (a == 0 && b == 0) return std::signbit(a) == is_max ? s[1] : s[0];
                       return (a < b) == is_max ? s[1] : s[0];
                     }});
  }
}

// An approximation: f in double precision, then flushed.
void add_approximate(std::vector<Case>& cases, const char* name, double relative, double absolute,
                     double (*f)(double)) {
  for (const bool ftz : {false, true}) {
    cases.push_back({std::string(name) + (ftz ? ".ftz.f32" : ".f32"), "ff",
                     [=](const Sources& s) {
                       const float x = flushed(ftz, to_float(s[0]));
                       return result(flushed(ftz, static_cast<float>(f(static_cast<double>(x)))));
                     },
                     relative, absolute});
  }
}

u64 coarse(double x) {
  if (std::isnan(x)) return of_double(x);
  if (std::fpclassify(x) == FP_SUBNORMAL) return of_double(std::copysign(0.0, x));
  return of_double(x) & 0xFFFFFFFF00000000u;
}
double upper(u64 bits) {
  const double x = to_double(bits & 0xFFFFFFFF00000000u);
  return std::fpclassify(to_double(bits)) == FP_SUBNORMAL ? std::copysign(0.0, to_double(bits)) : x;
}

}  // namespace

std::vector<Case> float_cases() {
  std::vector<Case> cases;
  for (const bool ftz : {false, true}) {
    for (const Mode& mode : kModes) add_rounded(cases, mode, ftz);
    add_extremes(cases, false, ftz);
    add_extremes(cases, true, ftz);
  }
  add_signs(cases);
  add_doubles(cases);
  return cases;
}

std::vector<Case> approximate_cases() {
  std::vector<Case> cases;
  // Half the hardware's documented errors, or less.
  add_approximate(cases, "rcp.approx", 0x1p-24, 0, [](double x) { return 1.0 / x; });
  add_approximate(cases, "sqrt.approx", 0x1p-24, 0, [](double x) { return std::sqrt(x); });
  add_approximate(cases, "rsqrt.approx", 0x1p-22, 0, [](double x) { return 1.0 / std::sqrt(x); });
  // Denormal results have an absolute error of one in the last place.
  add_approximate(cases, "ex2.approx", 0x1p-22, 0x1p-149, [](double x) { return std::exp2(x); });
  add_approximate(cases, "lg2.approx", 0x1p-22, 0x1p-23, [](double x) { return std::log2(x); });
  add_approximate(cases, "sin.approx", 0x1p-22, 0x1p-22, [](double x) { return std::sin(x); });
  add_approximate(cases, "cos.approx", 0x1p-22, 0x1p-22, [](double x) { return std::cos(x); });
  cases.push_back({"tanh.approx.f32", "ff",
                   [](const Sources& s) {
                     return result(
                         static_cast<float>(std::tanh(static_cast<double>(to_float(s[0])))));
                   },
                   0x1p-20, 0});
  for (const bool ftz : {false, true}) {
    const std::string end = ftz ? ".ftz.f32" : ".f32";
    add_f32(cases, "div.full" + end, 2, div3, FE_TONEAREST, ftz, false);
    cases.push_back({"div.approx" + end, "fff", [=](const Sources& s) {
                       const float a = flushed(ftz, to_float(s[0])),
                                   b = flushed(ftz, to_float(s[1]));
                       // The manual: beyond 2^126 the quotient is 0, or NaN of an infinity.
                       if (std::isfinite(b) && std::fabs(b) > 0x1p126f) {
                         if (std::isnan(a) || std::isinf(a)) return result(NAN);
                         return of_float(std::signbit(a) != std::signbit(b) ? -0.0f : 0.0f);
                       }
                       return result(flushed(ftz, a / b));
                     }});
  }
  cases.push_back(
      {"rcp.approx.ftz.f64", "gg", [](const Sources& s) { return coarse(1.0 / upper(s[0])); }});
  cases.push_back({"rsqrt.approx.ftz.f64", "gg",
                   [](const Sources& s) { return coarse(1.0 / std::sqrt(upper(s[0]))); }});
  cases.push_back({"rsqrt.approx.f64", "gg",
                   [](const Sources& s) { return of_double(1.0 / std::sqrt(to_double(s[0]))); }});
  return cases;
}

TEST_CASE("floating arithmetic rounds as the host does in each mode", "[ptx]") {
  check_cases(float_cases());
}

TEST_CASE("approximations stay within the errors that the manual grants", "[ptx]") {
  check_cases(approximate_cases());
}

}  // namespace ptx_emulator::testing
