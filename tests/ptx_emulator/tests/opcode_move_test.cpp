// Copies and the splitting and joining of registers; predicates of setp; set.

#include <cmath>

#include "tests/catch.h"
#include "tests/ptx_emulator/tests/opcode_harness.h"
#include "tests/ptx_emulator/tests/reference_format.h"

namespace ptx_emulator::testing {
namespace {

u64 first(const Sources& s) {
  return s[0];
}

bool compare(const std::string& name, double a, double b) {
  const bool unordered = std::isnan(a) || std::isnan(b);
  if (name == "num") return !unordered;
  if (name == "nan") return unordered;
  if (name.size() == 3 && unordered) return true;
  const std::string base = name.substr(0, 2);
  if (unordered) return false;
  if (base == "eq") return a == b;
  if (base == "ne") return a != b;
  if (base == "lt") return a < b;
  if (base == "le") return a <= b;
  if (base == "gt") return a > b;
  return a >= b;
}

const char* const kFloatComparisons[] = {"eq",  "ne",  "lt",  "le",  "gt",  "ge",  "equ",
                                         "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};

// A comparison of integers; `name` may be one of the unsigned words.
bool compare_integers(const std::string& name, u64 a, u64 b, u32 bits, bool is_signed) {
  const u64 flip = is_signed ? u64{1} << (bits - 1) : 0;
  a ^= flip;
  b ^= flip;
  if (name == "eq") return a == b;
  if (name == "ne") return a != b;
  if (name == "lt" || name == "lo") return a < b;
  if (name == "le" || name == "ls") return a <= b;
  if (name == "gt" || name == "hi") return a > b;
  return a >= b;
}

std::vector<Case> comparison_cases() {
  std::vector<Case> cases;
  const std::pair<u32, char> kWidths[] = {{16, 'h'}, {32, 'w'}, {64, 'd'}};
  for (const auto& [width, letter] : kWidths) {
    const u32 bits = width;
    for (const char* sign : {"b", "u", "s"}) {
      for (const char* word : {"eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs"}) {
        const std::string name = word;
        const bool ordered = name != "eq" && name != "ne";
        const bool unsigned_word = name[1] == 'o' || name[1] == 's' || name[0] == 'h';
        if ((ordered && *sign == 'b') || (unsigned_word && *sign != 'u')) continue;
        cases.push_back({"setp." + name + "." + sign + std::to_string(bits),
                         {'p', letter, letter},
                         [=](const Sources& s) {
                           return u64{compare_integers(name, s[0], s[1], bits, *sign == 's')};
                         }});
      }
    }
  }
  for (const char* word : kFloatComparisons) {
    const std::string name = word;
    const auto flushed = [](u64 bits) { return (bits & 0x7F800000u) == 0 ? 0.0f : to_float(bits); };
    const auto half = [](u64 bits, bool ftz) {
      return ftz && (bits & 0x7C00u) == 0 ? 0.0 : reference_f16().decode(bits);
    };
    cases.push_back({"setp." + name + ".f32", "pff", [=](const Sources& s) {
                       return u64{compare(name, double(to_float(s[0])), double(to_float(s[1])))};
                     }});
    cases.push_back({"setp." + name + ".ftz.f32", "pff", [=](const Sources& s) {
                       return u64{compare(name, double(flushed(s[0])), double(flushed(s[1])))};
                     }});
    cases.push_back({"setp." + name + ".f64", "pgg", [=](const Sources& s) {
                       return u64{compare(name, to_double(s[0]), to_double(s[1]))};
                     }});
    for (const bool ftz : {false, true}) {
      cases.push_back({"setp." + name + (ftz ? ".ftz.f16" : ".f16"), "phh", [=](const Sources& s) {
                         return u64{compare(name, half(s[0], ftz), half(s[1], ftz))};
                       }});
    }
    cases.push_back(
        {"setp." + name + ".bf16", "phh", [=](const Sources& s) {
           return u64{compare(name, reference_bf16().decode(s[0]), reference_bf16().decode(s[1]))};
         }});
    cases.push_back({"set." + name + ".{u32,s32}.f32", "wff", [=](const Sources& s) {
                       return compare(name, double(to_float(s[0])), double(to_float(s[1])))
                                  ? ~u64{0}
                                  : 0u;
                     }});
    cases.push_back({"set." + name + ".f32.f64", "fgg", [=](const Sources& s) {
                       return compare(name, to_double(s[0]), to_double(s[1])) ? 0x3F800000u : 0u;
                     }});
    cases.push_back({"set." + name + ".f16x2.f16x2", "www", [=](const Sources& s) {
                       const auto of = [&](u32 shift) {
                         return compare(name, reference_f16().decode(s[0] >> shift & 0xFFFFu),
                                        reference_f16().decode(s[1] >> shift & 0xFFFFu))
                                    ? u64{0x3C00} << shift
                                    : 0;
                       };
                       return of(0) | of(16);
                     }});
  }
  for (const auto& [word, combine] :
       std::initializer_list<std::pair<const char*, u64 (*)(u64, u64)>>{
           {"and", [](u64 x, u64 y) { return x & y; }},
           {"or", [](u64 x, u64 y) { return x | y; }},
           {"xor", [](u64 x, u64 y) { return x ^ y; }}}) {
    const auto f = combine;
    cases.push_back({std::string("setp.lt.") + word + ".s32", "pwwp", [=](const Sources& s) {
                       return f(compare_integers("lt", s[0], s[1], 32, true), s[2]);
                     }});
    cases.push_back({std::string("set.gtu.") + word + ".f32.f32", "fffp", [=](const Sources& s) {
                       const bool x =
                           compare("gtu", double(to_float(s[0])), double(to_float(s[1])));
                       return f(x, s[2]) != 0 ? 0x3F800000u : 0u;
                     }});
  }
  return cases;
}

}  // namespace

std::vector<Case> move_cases() {
  return {{"mov.{b16,u16,s16,f16,bf16}", "hh", first},
          {"mov.{b32,u32,s32}", "ww", first},
          {"mov.f32", "ff", first},
          {"mov.{b64,u64,s64}", "dd", first},
          {"mov.f64", "gg", first}};
}

TEST_CASE("mov copies registers", "[ptx]") {
  check_cases(move_cases());
}

TEST_CASE("comparisons order numbers and tell NaN as the manual says", "[ptx]") {
  check_cases(comparison_cases());
}

TEST_CASE("setp writes the complement, combined, to its second predicate", "[ptx]") {
  SingleInstruction instruction("@%p2 setp.ge.and.s32 %p2|%p3, %w1, 16, !%p1");
  for (u32 lane = 0; lane < kWarpLanes; ++lane) {
    instruction.set('w', 1, lane, lane);
    instruction.set('p', 1, lane, lane % 2);
    instruction.set('p', 2, lane, lane != 30);
    instruction.set('p', 3, lane, 1);
  }
  instruction.run(~0u);
  for (u32 lane = 0; lane < kWarpLanes; ++lane) {
    const bool on = lane != 30, c = lane % 2 == 0;
    CHECK(instruction.get('p', 2, lane) == (on && lane >= 16 && c ? 1u : 0u));
    CHECK(instruction.get('p', 3, lane) == (on ? (lane < 16 && c ? 1u : 0u) : 1u));
  }
}

TEST_CASE("setp of pairs tells the halves apart", "[ptx]") {
  for (const bool bf16 : {false, true}) {
    SingleInstruction instruction(std::string("setp.gt.") + (bf16 ? "bf16x2" : "f16x2") +
                                  " %p0|%p1, %w0, %w1");
    std::mt19937_64 random(5);
    for (u32 lane = 0; lane < kWarpLanes; ++lane) {
      instruction.set('w', 0, lane, draw(random, 'h') | draw(random, 'h') << 16);
      instruction.set('w', 1, lane, draw(random, 'h') | draw(random, 'h') << 16);
    }
    instruction.run(~0u);
    const ReferenceFormat& format = bf16 ? reference_bf16() : reference_f16();
    for (u32 lane = 0; lane < kWarpLanes; ++lane) {
      const u64 a = instruction.get('w', 0, lane), b = instruction.get('w', 1, lane);
      CHECK(instruction.get('p', 0, lane) ==
            (format.decode(a & 0xFFFFu) > format.decode(b & 0xFFFFu)));
      CHECK(instruction.get('p', 1, lane) == (format.decode(a >> 16) > format.decode(b >> 16)));
    }
  }
}

TEST_CASE("mov packs and unpacks registers", "[ptx]") {
  std::mt19937_64 random(9);
  SingleInstruction pack32("mov.b32 %w0, {%h1, %h2}"), unpack32("mov.b32 {%h0, %h3}, %w1");
  SingleInstruction pack64("mov.b64 %d0, {%w1, %f2}"), unpack64("mov.b64 {_, %w3}, %g1");
  SingleInstruction halves("mov.b64 %d0, {%h1, %h2, %h3, %h4}"),
      split("mov.b64 {%h0, %h1, %h2, %h3}, %d1");
  SingleInstruction pack128("mov.b128 %q0, {%d1, %d2}"), unpack128("mov.b128 {%d0, %d3}, %q1");
  SingleInstruction move128("mov.b128 %q0, %q1");
  constexpr u32 kActive = 0xFFFF00FFu;
  for (u32 lane = 0; lane < kWarpLanes; ++lane) {
    const u64 a = random(), b = random();
    pack32.set('h', 1, lane, a & 0xFFFFu);
    pack32.set('h', 2, lane, b & 0xFFFFu);
    unpack32.set('w', 1, lane, a);
    pack64.set('w', 1, lane, a & 0xFFFFFFFFu);
    pack64.set('f', 2, lane, b & 0xFFFFFFFFu);
    unpack64.set('g', 1, lane, a);
    for (u32 i = 0; i < 4; ++i) halves.set('h', 1 + i, lane, a >> 16 * i & 0xFFFFu);
    split.set('d', 1, lane, b);
    for (SingleInstruction* wide : {&unpack128, &move128}) {
      wide->set('q', 1, lane, a, 0);
      wide->set('q', 1, lane, b, 1);
    }
    pack128.set('d', 1, lane, a);
    pack128.set('d', 2, lane, b);
  }
  for (SingleInstruction* each :
       {&pack32, &unpack32, &pack64, &unpack64, &halves, &split, &pack128, &unpack128, &move128}) {
    each->run(kActive);
  }
  for (u32 lane = 0; lane < kWarpLanes; ++lane) {
    const u64 on = (kActive >> lane & 1u) != 0 ? ~u64{0} : 0;
    CHECK(pack32.get('w', 0, lane) ==
          ((pack32.get('h', 1, lane) | pack32.get('h', 2, lane) << 16) & on));
    CHECK(unpack32.get('h', 0, lane) == (unpack32.get('w', 1, lane) & 0xFFFFu & on));
    CHECK(unpack32.get('h', 3, lane) == (unpack32.get('w', 1, lane) >> 16 & on));
    CHECK(pack64.get('d', 0, lane) ==
          ((pack64.get('w', 1, lane) | pack64.get('f', 2, lane) << 32) & on));
    CHECK(unpack64.get('w', 3, lane) == (unpack64.get('g', 1, lane) >> 32 & on));
    for (u32 i = 0; i < 4; ++i) {
      CHECK((halves.get('d', 0, lane) >> 16 * i & 0xFFFFu) == (halves.get('h', 1 + i, lane) & on));
      CHECK(split.get('h', i, lane) == (split.get('d', 1, lane) >> 16 * i & 0xFFFFu & on));
    }
    CHECK(pack128.get('q', 0, lane, 0) == (pack128.get('d', 1, lane) & on));
    CHECK(pack128.get('q', 0, lane, 1) == (pack128.get('d', 2, lane) & on));
    CHECK(unpack128.get('d', 0, lane) == (unpack128.get('q', 1, lane, 0) & on));
    CHECK(unpack128.get('d', 3, lane) == (unpack128.get('q', 1, lane, 1) & on));
    CHECK(move128.get('q', 0, lane, 1) == (move128.get('q', 1, lane, 1) & on));
  }
}

}  // namespace ptx_emulator::testing
