// Instructions that run lane by lane: bit search, masks, tests of classes, packing with clamps,
// video.

#include <cmath>

#include "tests/catch.h"
#include "tests/ptx_emulator/tests/opcode_harness.h"

namespace ptx_emulator::testing {
namespace {

s64 extend(u64 value, u32 bits, bool is_signed) {
  const u64 kept = value & ((u64{1} << bits) - 1);
  const bool negative = is_signed && (kept >> (bits - 1) & 1u) != 0;
  return static_cast<s64>(kept) - (negative ? s64{1} << bits : 0);
}

void add_bit_search(std::vector<Case>& cases) {
  for (const u32 n : {32u, 64u}) {
    for (const bool is_signed : {false, true}) {
      const auto find = [=](const Sources& s) -> u64 {
        const bool sign = is_signed && (s[0] >> (n - 1) & 1u) != 0;
        for (u32 i = n; i-- > 0;) {
          if ((s[0] >> i & 1u) != (sign ? 1u : 0u)) return i;
        }
        return ~u64{0};
      };
      const std::string type = (is_signed ? "s" : "u") + std::to_string(n);
      const std::string operands = n == 32 ? "ww" : "wd";
      cases.push_back({"bfind." + type, operands, find});
      cases.push_back({"bfind.shiftamt." + type, operands, [=](const Sources& s) {
                         const u64 at = find(s);
                         return at == ~u64{0} ? at : n - 1 - at;
                       }});
    }
  }
  cases.push_back({"fns.b32", "wwww", [](const Sources& s) -> u64 {
                     const s64 offset = extend(s[2], 32, true);
                     if (s[1] > 31) return ~u64{0};
                     if (offset == 0) return (s[0] >> s[1] & 1u) != 0 ? s[1] : ~u64{0};
                     s64 seen = 0;
                     for (s64 at = static_cast<s64>(s[1]);
                          at >= 0 && at<32; at += offset> 0 ? 1 : -1) {
                       seen += static_cast<s64>(s[0] >> at & 1u);
                       if (seen == std::abs(offset)) return static_cast<u64>(at);
                     }
                     return ~u64{0};
                   }});
}

void add_masks(std::vector<Case>& cases) {
  for (const bool clamp : {true, false}) {
    const std::string mode = clamp ? "clamp" : "wrap";
    cases.push_back({"bmsk." + mode + ".b32", "www", [=](const Sources& s) {
                       const u64 from = clamp ? s[0] : s[0] % 32, count = clamp ? s[1] : s[1] % 32;
                       u64 mask = 0;
                       for (u64 i = 0; i < 32; ++i) {
                         if (i >= from && i < from + count) mask |= u64{1} << i;
                       }
                       return mask;
                     }});
    for (const bool is_signed : {false, true}) {
      cases.push_back(
          {"szext." + mode + (is_signed ? ".s32" : ".u32"), "www", [=](const Sources& s) -> u64 {
             const u64 count = clamp ? s[1] : s[1] % 32;
             if (count == 0) return 0;
             if (count > 31) return s[0];
             return static_cast<u64>(extend(s[0], static_cast<u32>(count), is_signed));
           }});
    }
  }
}

void add_class_tests(std::vector<Case>& cases) {
  const std::pair<const char*, bool (*)(int)> kTests[] = {
      {"finite", [](int c) { return c != FP_NAN && c != FP_INFINITE; }},
      {"infinite", [](int c) { return c == FP_INFINITE; }},
      {"number", [](int c) { return c != FP_NAN; }},
      {"notanumber", [](int c) { return c == FP_NAN; }},
      {"normal", [](int c) { return c == FP_NORMAL || c == FP_ZERO; }},
      {"subnormal", [](int c) { return c == FP_SUBNORMAL; }}};
  for (const auto& [name, test] : kTests) {
    const auto accept = test;
    cases.push_back({std::string("testp.") + name + ".f32", "pf", [=](const Sources& s) {
                       return accept(std::fpclassify(to_float(s[0]))) ? 1u : 0u;
                     }});
    cases.push_back({std::string("testp.") + name + ".f64", "pg", [=](const Sources& s) {
                       return accept(std::fpclassify(to_double(s[0]))) ? 1u : 0u;
                     }});
  }
}

s64 limit(s64 value, u32 bits, bool is_signed) {
  const s64 most = (s64{1} << (is_signed ? bits - 1 : bits)) - 1, least = is_signed ? -most - 1 : 0;
  return std::min(std::max(value, least), most);
}

void add_packs(std::vector<Case>& cases) {
  for (const bool is_signed : {false, true}) {
    for (const u32 bits : {16u, 8u, 4u, 2u}) {
      const std::string type = (is_signed ? "s" : "u") + std::to_string(bits);
      const bool three = bits < 16;
      cases.push_back({"cvt.pack.sat." + type + ".s32" + (three ? ".b32" : ""),
                       three ? "wwww" : "www", [=](const Sources& s) {
                         const u64 mask = (u64{1} << bits) - 1;
                         const auto field = [&](u64 x) {
                           return static_cast<u64>(limit(extend(x, 32, true), bits, is_signed)) &
                                  mask;
                         };
                         return (three ? s[2] << 2 * bits : 0) | field(s[0]) << bits | field(s[1]);
                       }});
    }
  }
}

using Elementwise = s64 (*)(s64, s64);

u64 video(const Sources& s, u32 bits, bool signed_sources, Elementwise f, bool sum, int clamp) {
  u64 packed = 0;
  s64 total = static_cast<s64>(s[2]);
  for (u32 i = 0; i < 32; i += bits) {
    s64 value = f(extend(s[0] >> i, bits, signed_sources), extend(s[1] >> i, bits, signed_sources));
    if (clamp != 0) value = limit(value, bits, clamp < 0);
    packed |= (static_cast<u64>(value) & ((u64{1} << bits) - 1)) << i;
    total += value;
  }
  return sum ? static_cast<u64>(total) : packed;
}

void add_video(std::vector<Case>& cases) {
  const std::pair<const char*, Elementwise> kOperations[] = {
      {"vadd", [](s64 a, s64 b) { return a + b; }},
      {"vsub", [](s64 a, s64 b) { return a - b; }},
      {"vabsdiff", [](s64 a, s64 b) { return std::abs(a - b); }},
      {"vmin", [](s64 a, s64 b) { return std::min(a, b); }},
      {"vmax", [](s64 a, s64 b) { return std::max(a, b); }},
      {"vavrg", [](s64 a, s64 b) {
         return static_cast<s64>(std::floor(static_cast<double>(a + b) / 2 + 0.5));
       }}};
  const std::pair<const char*, Elementwise> kComparisons[] = {
      {".eq", [](s64 a, s64 b) { return s64{a == b}; }},
      {".ne", [](s64 a, s64 b) { return s64{a != b}; }},
      {".lt", [](s64 a, s64 b) { return s64{a < b}; }},
      {".le", [](s64 a, s64 b) { return s64{a <= b}; }},
      {".gt", [](s64 a, s64 b) { return s64{a > b}; }},
      {".ge", [](s64 a, s64 b) { return s64{a >= b}; }}};
  for (const u32 bits : {16u, 8u}) {
    const std::string count = bits == 16 ? "2" : "4";
    for (const bool is_signed : {false, true}) {
      const std::string sources = is_signed ? ".s32.s32" : ".u32.u32";
      for (const auto& [name, operation] : kOperations) {
        const Elementwise f = operation;
        for (const bool to_signed : {false, true}) {
          const std::string head = name + count + (to_signed ? ".s32" : ".u32") + sources;
          const auto add = [&](const char* end, bool sum, int clamp) {
            cases.push_back({head + end, "wwww", [=](const Sources& s) {
                               return video(s, bits, is_signed, f, sum, clamp);
                             }});
          };
          add("", false, 0);
          add(".sat", false, to_signed ? -1 : 1);
          add(".add", true, 0);
        }
      }
      for (const auto& [name, comparison] : kComparisons) {
        const Elementwise f = comparison;
        const std::string head = "vset" + count + sources + name;
        cases.push_back({head, "wwww",
                         [=](const Sources& s) { return video(s, bits, is_signed, f, false, 0); }});
        cases.push_back({head + ".add", "wwww",
                         [=](const Sources& s) { return video(s, bits, is_signed, f, true, 0); }});
      }
    }
  }
}

}  // namespace

std::vector<Case> rare_integer_cases() {
  std::vector<Case> cases;
  add_bit_search(cases);
  add_masks(cases);
  add_class_tests(cases);
  add_packs(cases);
  add_video(cases);
  return cases;
}

TEST_CASE("rare integer instructions agree with their definitions", "[ptx]") {
  check_cases(rare_integer_cases());
}

}  // namespace ptx_emulator::testing
