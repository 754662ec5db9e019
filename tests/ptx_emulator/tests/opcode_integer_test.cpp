// Sums, products, quotients and extremes of integers against scalar references.

#include <limits>

#include "tests/catch.h"
#include "tests/ptx_emulator/tests/opcode_harness.h"

namespace ptx_emulator::testing {
namespace {

__extension__ using s128 = __int128;
__extension__ using u128 = unsigned __int128;

// All of one width: values enter the references as mathematical integers.
struct Width {
  const char* bits;
  char letter;
  u32 count;
};
constexpr Width kWidths[] = {{"16", 'h', 16}, {"32", 'w', 32}, {"64", 'd', 64}};

s128 value(u64 bits, u32 count, bool is_signed) {
  const u64 kept = count == 64 ? bits : bits & ((u64{1} << count) - 1);
  const s128 number = static_cast<s128>(kept);
  return is_signed && (kept >> (count - 1) & 1u) != 0 ? number - (s128{1} << count) : number;
}

using Formula = std::function<s128(s128, s128, s128)>;

// An instruction whose result is a formula of integers, modulo the width of the result.
void add_formula(std::vector<Case>& cases, const std::string& head, const char* sign,
                 const Width& width, u32 num_sources, const Formula& formula) {
  const bool is_signed = sign[0] == 's';
  const u32 count = width.count;
  cases.push_back(
      {head + sign + width.bits, std::string(num_sources + 1, width.letter), [=](const Sources& s) {
         return static_cast<u64>(formula(value(s[0], count, is_signed),
                                         value(s[1], count, is_signed),
                                         value(s[2], count, is_signed)));
       }});
}

void add_width(std::vector<Case>& cases, const Width& width, const char* sign) {
  const u32 n = width.count;
  const auto add = [&](const char* head, u32 num_sources, const Formula& formula) {
    add_formula(cases, head, sign, width, num_sources, formula);
  };
  add("add.", 2, [](s128 a, s128 b, s128) { return a + b; });
  add("sub.", 2, [](s128 a, s128 b, s128) { return a - b; });
  add("min.", 2, [](s128 a, s128 b, s128) { return a < b ? a : b; });
  add("max.", 2, [](s128 a, s128 b, s128) { return a > b ? a : b; });
  add("sad.", 3, [](s128 a, s128 b, s128 c) { return c + (a > b ? a - b : b - a); });
  add("mul.lo.", 2, [](s128 a, s128 b, s128) {
    return static_cast<s128>(static_cast<u128>(a) * static_cast<u128>(b));
  });
  add("mad.lo.", 3, [](s128 a, s128 b, s128 c) {
    return static_cast<s128>(static_cast<u128>(a) * static_cast<u128>(b) + static_cast<u128>(c));
  });
  // Products of two unsigned 64-bit values overflow s128, but their bits are right.
  const bool is_unsigned = sign[0] == 'u';
  const auto high = [n, is_unsigned](s128 a, s128 b) {
    const u128 product = static_cast<u128>(a) * static_cast<u128>(b);
    return is_unsigned ? static_cast<s128>(product >> n) : static_cast<s128>(product) >> n;
  };
  add("mul.hi.", 2, [high](s128 a, s128 b, s128) { return high(a, b); });
  add("mad.hi.", 3, [high](s128 a, s128 b, s128 c) { return high(a, b) + c; });
  add("div.", 2, [](s128 a, s128 b, s128) { return b == 0 ? s128{-1} : a / b; });
  add("rem.", 2, [](s128 a, s128 b, s128) { return b == 0 ? s128{-1} : a % b; });
  if (!is_unsigned) {
    add("neg.", 1, [](s128 a, s128, s128) { return -a; });
    add("abs.", 1, [](s128 a, s128, s128) { return a < 0 ? -a : a; });
  }
}

s128 clamp32(s128 x) {
  const s128 low = std::numeric_limits<s32>::min(), high = std::numeric_limits<s32>::max();
  return x < low ? low : (x > high ? high : x);
}

void add_wide(std::vector<Case>& cases, const char* sign) {
  const bool is_signed = sign[0] == 's';
  for (const u32 n : {16u, 32u}) {
    const std::string narrow(2, n == 16 ? 'h' : 'w'), wide(1, n == 16 ? 'w' : 'd');
    const std::string type = sign + std::to_string(n);
    cases.push_back({"mul.wide." + type, wide + narrow, [=](const Sources& s) {
                       return static_cast<u64>(value(s[0], n, is_signed) *
                                               value(s[1], n, is_signed));
                     }});
    cases.push_back(
        {"mad.wide." + type, wide + narrow + wide, [=](const Sources& s) {
           return static_cast<u64>(value(s[0], n, is_signed) * value(s[1], n, is_signed)) + s[2];
         }});
  }
  const auto product24 = [=](const Sources& s) {
    return value(s[0], 24, is_signed) * value(s[1], 24, is_signed);
  };
  const std::string type = sign + std::string("32");
  cases.push_back({"mul24.lo." + type, "www",
                   [=](const Sources& s) { return static_cast<u64>(product24(s)); }});
  cases.push_back({"mul24.hi." + type, "www",
                   [=](const Sources& s) { return static_cast<u64>(product24(s) >> 16); }});
  cases.push_back({"mad24.lo." + type, "wwww",
                   [=](const Sources& s) { return static_cast<u64>(product24(s)) + s[2]; }});
  cases.push_back({"mad24.hi." + type, "wwww",
                   [=](const Sources& s) { return static_cast<u64>(product24(s) >> 16) + s[2]; }});
}

void add_saturating(std::vector<Case>& cases) {
  const auto signed32 = [](u64 bits) { return value(bits, 32, true); };
  cases.push_back({"add.sat.s32", "www", [=](const Sources& s) {
                     return static_cast<u64>(clamp32(signed32(s[0]) + signed32(s[1])));
                   }});
  cases.push_back({"sub.sat.s32", "www", [=](const Sources& s) {
                     return static_cast<u64>(clamp32(signed32(s[0]) - signed32(s[1])));
                   }});
  cases.push_back({"mad.hi.sat.s32", "wwww", [=](const Sources& s) {
                     const s128 high = signed32(s[0]) * signed32(s[1]) >> 32;
                     return static_cast<u64>(clamp32(high + signed32(s[2])));
                   }});
  cases.push_back({"mad24.hi.sat.s32", "wwww", [=](const Sources& s) {
                     const s128 high = value(s[0], 24, true) * value(s[1], 24, true) >> 16;
                     return static_cast<u64>(clamp32(high + signed32(s[2])));
                   }});
}

// Both halves of a word, each by a formula.
void add_halves(std::vector<Case>& cases, const std::string& pattern, bool is_signed,
                const std::function<s128(s128, s128)>& formula) {
  cases.push_back({pattern, "www", [=](const Sources& s) {
                     const auto half = [&](u32 shift) {
                       const s128 x = formula(value(s[0] >> shift, 16, is_signed),
                                              value(s[1] >> shift, 16, is_signed));
                       return (static_cast<u64>(x) & 0xFFFFu) << shift;
                     };
                     return half(0) | half(16);
                   }});
}

void add_packed(std::vector<Case>& cases) {
  const auto least = [](s128 a, s128 b) { return a < b ? a : b; };
  const auto most = [](s128 a, s128 b) { return a > b ? a : b; };
  add_halves(cases, "add.{u16x2,s16x2}", false, [](s128 a, s128 b) { return a + b; });
  add_halves(cases, "min.u16x2", false, least);
  add_halves(cases, "max.u16x2", false, most);
  add_halves(cases, "min.s16x2", true, least);
  add_halves(cases, "max.s16x2", true, most);
  add_halves(cases, "min.relu.s16x2", true, [=](s128 a, s128 b) { return most(least(a, b), 0); });
  add_halves(cases, "max.relu.s16x2", true, [=](s128 a, s128 b) { return most(most(a, b), 0); });
  add_formula(cases, "min.relu.", "s", kWidths[1], 2,
              [=](s128 a, s128 b, s128) { return most(least(a, b), 0); });
  add_formula(cases, "max.relu.", "s", kWidths[1], 2,
              [=](s128 a, s128 b, s128) { return most(most(a, b), 0); });
}

// A sum with the carry flag in and out; the flag is what the mathematical sum says.
void check_carry(const char* name, bool wide, bool in, bool out, bool subtract, char product) {
  const char letter = wide ? 'd' : 'w';
  const u32 n = wide ? 64 : 32;
  const u32 num_sources = product == 0 ? 2 : 3;
  std::string text = name;
  for (u32 i = 0; i <= num_sources; ++i) {
    text += (i == 0 ? " %" : ", %") + std::string(1, letter) + std::to_string(i);
  }
  INFO(text);
  SingleInstruction instruction(text);
  std::mt19937_64 random(77);
  for (const u32 active : {~0u, 0xFFFF0001u, ~0u, ~0u}) {
    const u32 flags = static_cast<u32>(random());
    instruction.set_carry(flags);
    u64 operands[3][kWarpLanes];
    for (u32 lane = 0; lane < kWarpLanes; ++lane) {
      for (u32 i = 0; i < num_sources; ++i) {
        operands[i][lane] = draw(random, letter);
        instruction.set(letter, i + 1, lane, operands[i][lane]);
      }
      instruction.set(letter, 0, lane, 12345);
    }
    instruction.run(active);
    for (u32 lane = 0; lane < kWarpLanes; ++lane) {
      const bool on = (active >> lane & 1u) != 0, flag = (flags >> lane & 1u) != 0;
      u128 a = operands[0][lane], b = operands[1][lane];
      if (product != 0) {
        const u128 p = static_cast<u128>(operands[0][lane]) * operands[1][lane];
        a = product == 'l' ? p & ((u128{1} << n) - 1) : p >> n;
        b = operands[2][lane];
      }
      const u128 carry = in && flag ? 1 : 0;
      const u128 sum = subtract ? a - b - carry : a + b + carry;
      const u64 expected = static_cast<u64>(sum & ((u128{1} << n) - 1));
      CHECK(instruction.get(letter, 0, lane) == (on ? expected : 12345u));
      const bool carried = (sum >> n & 1u) != 0;
      CHECK((instruction.carry() >> lane & 1u) == (on && out ? carried : flag));
    }
  }
}

}  // namespace

std::vector<Case> integer_cases() {
  std::vector<Case> cases;
  for (const Width& width : kWidths) {
    add_width(cases, width, "u");
    add_width(cases, width, "s");
  }
  add_wide(cases, "u");
  add_wide(cases, "s");
  add_saturating(cases);
  add_packed(cases);
  return cases;
}

TEST_CASE("integer arithmetic agrees with whole-number formulas", "[ptx]") {
  check_cases(integer_cases());
}

TEST_CASE("long arithmetic carries through the flag of each lane", "[ptx]") {
  for (const bool wide : {false, true}) {
    const std::string type = wide ? ".u64" : ".u32";
    check_carry(("add.cc" + type).c_str(), wide, false, true, false, 0);
    check_carry(("addc" + type).c_str(), wide, true, false, false, 0);
    check_carry(("addc.cc" + type).c_str(), wide, true, true, false, 0);
    check_carry(("sub.cc" + type).c_str(), wide, false, true, true, 0);
    check_carry(("subc" + type).c_str(), wide, true, false, true, 0);
    check_carry(("subc.cc" + type).c_str(), wide, true, true, true, 0);
    check_carry(("mad.lo.cc" + type).c_str(), wide, false, true, false, 'l');
    check_carry(("madc.lo" + type).c_str(), wide, true, false, false, 'l');
    check_carry(("madc.lo.cc" + type).c_str(), wide, true, true, false, 'l');
    check_carry(("mad.hi.cc" + type).c_str(), wide, false, true, false, 'h');
    check_carry(("madc.hi" + type).c_str(), wide, true, false, false, 'h');
    check_carry(("madc.hi.cc" + type).c_str(), wide, true, true, false, 'h');
  }
}

}  // namespace ptx_emulator::testing
