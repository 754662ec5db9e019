// Bitwise operations, shifts, fields, permutations and selections against bit-by-bit references.

#include "tests/catch.h"
#include "tests/ptx_emulator/tests/opcode_harness.h"

namespace ptx_emulator::testing {
namespace {

struct Width {
  const char* bits;
  char letter;
  u32 count;
};
constexpr Width kWidths[] = {{"16", 'h', 16}, {"32", 'w', 32}, {"64", 'd', 64}};

bool bit(u64 word, u32 index) {
  return (word >> index & 1u) != 0;
}

// A word made of the bits that `f` gives.
template <typename F>
u64 build(u32 count, F f) {
  u64 word = 0;
  for (u32 i = 0; i < count; ++i) word |= static_cast<u64>(f(i)) << i;
  return word;
}

void add_bitwise(std::vector<Case>& cases) {
  for (const auto& [bits, letter, count] : kWidths) {
    const std::string type = std::string(".b") + bits, two(2, letter), three(3, letter);
    const u64 ones = build(count, [](u32) { return true; });
    cases.push_back({"and" + type, three, [](const Sources& s) { return s[0] & s[1]; }});
    cases.push_back({"or" + type, three, [](const Sources& s) { return s[0] | s[1]; }});
    cases.push_back({"xor" + type, three, [](const Sources& s) { return s[0] ^ s[1]; }});
    cases.push_back({"not" + type, two, [=](const Sources& s) { return s[0] ^ ones; }});
    cases.push_back({"cnot" + type, two, [](const Sources& s) { return s[0] == 0 ? 1u : 0u; }});
  }
  cases.push_back({"and.pred", "ppp", [](const Sources& s) { return s[0] * s[1]; }});
  cases.push_back({"or.pred", "ppp", [](const Sources& s) { return s[0] + s[1] == 0 ? 0u : 1u; }});
  cases.push_back({"xor.pred", "ppp", [](const Sources& s) { return s[0] != s[1] ? 1u : 0u; }});
  cases.push_back({"not.pred", "pp", [](const Sources& s) { return s[0] == 0 ? 1u : 0u; }});
  cases.push_back({"mov.pred", "pp", [](const Sources& s) { return s[0]; }});
}

void add_shifts(std::vector<Case>& cases) {
  for (const auto& [bits, letter, count] : kWidths) {
    const std::string operands = {letter, letter, 'w'}, width = bits;
    const u32 n = count;
    cases.push_back({"shl.b" + width, operands, [n](const Sources& s) {
                       return build(n,
                                    [&](u32 i) { return i >= s[1] && bit(s[0], i - u32(s[1])); });
                     }});
    cases.push_back({"shr.{u" + width + ",b" + width + "}", operands, [n](const Sources& s) {
                       return build(
                           n, [&](u32 i) { return i + s[1] < n && bit(s[0], i + u32(s[1])); });
                     }});
    cases.push_back(
        {"shr.s" + width, operands, [n](const Sources& s) {
           return build(n, [&](u32 i) { return bit(s[0], i + s[1] < n ? i + u32(s[1]) : n - 1); });
         }});
  }
  for (const bool left : {true, false}) {
    for (const bool clamp : {true, false}) {
      const std::string name =
          std::string("shf.") + (left ? "l." : "r.") + (clamp ? "clamp" : "wrap") + ".b32";
      cases.push_back({name, "wwww", [=](const Sources& s) {
                         const u32 shift = clamp ? (s[2] > 32 ? 32 : u32(s[2])) : u32(s[2]) % 32;
                         const auto of_both = [&](u32 i) {
                           return i < 32 ? bit(s[0], i) : i < 64 && bit(s[1], i - 32);
                         };
                         return build(
                             32, [&](u32 i) { return of_both(left ? 32 + i - shift : i + shift); });
                       }});
    }
  }
}

void add_fields(std::vector<Case>& cases) {
  for (const u32 n : {32u, 64u}) {
    const std::string letter(1, n == 32 ? 'w' : 'd'), bits = std::to_string(n);
    for (const bool is_signed : {false, true}) {
      cases.push_back(
          {(is_signed ? "bfe.s" : "bfe.u") + bits, letter + letter + "ww", [=](const Sources& s) {
             const u32 position = s[1] & 255, length = s[2] & 255;
             const u32 last = std::min(position + length - 1, n - 1);
             const bool sign = is_signed && length != 0 && bit(s[0], last);
             return build(n, [&](u32 i) {
               return i < length && position + i < n ? bit(s[0], position + i) : sign;
             });
           }});
    }
    cases.push_back({"bfi.b" + bits, letter + letter + letter + "ww", [=](const Sources& s) {
                       const u32 position = s[2] & 255, length = s[3] & 255;
                       return build(n, [&](u32 i) {
                         const bool inside = i >= position && i < position + length;
                         return inside ? bit(s[0], i - position) : bit(s[1], i);
                       });
                     }});
    cases.push_back({"brev.b" + bits, letter + letter, [=](const Sources& s) {
                       return build(n, [&](u32 i) { return bit(s[0], n - 1 - i); });
                     }});
    cases.push_back({"popc.b" + bits, "w" + letter, [=](const Sources& s) {
                       u64 count = 0;
                       for (u32 i = 0; i < n; ++i) count += bit(s[0], i);
                       return count;
                     }});
    cases.push_back({"clz.b" + bits, "w" + letter, [=](const Sources& s) {
                       u64 count = 0;
                       while (count < n && !bit(s[0], n - 1 - u32(count))) ++count;
                       return count;
                     }});
  }
}

s64 part(u64 word, u32 from, u32 count, bool is_signed) {
  const s64 value = static_cast<s64>(word >> from & ((1u << count) - 1));
  return is_signed && bit(word, from + count - 1) ? value - (s64{1} << count) : value;
}

void add_dots(std::vector<Case>& cases) {
  for (const bool a : {false, true}) {
    for (const bool b : {false, true}) {
      const std::string types = std::string(a ? ".s32" : ".u32") + (b ? ".s32" : ".u32");
      cases.push_back({"dp4a" + types, "wwww", [=](const Sources& s) {
                         s64 sum = static_cast<s64>(s[2]);
                         for (u32 i = 0; i < 4; ++i)
                           sum += part(s[0], 8 * i, 8, a) * part(s[1], 8 * i, 8, b);
                         return static_cast<u64>(sum);
                       }});
      for (const bool high : {false, true}) {
        cases.push_back({(high ? "dp2a.hi" : "dp2a.lo") + types, "wwww", [=](const Sources& s) {
                           s64 sum = static_cast<s64>(s[2]);
                           for (u32 i = 0; i < 2; ++i) {
                             sum += part(s[0], 16 * i, 16, a) *
                                    part(s[1], 8 * i + (high ? 16 : 0), 8, b);
                           }
                           return static_cast<u64>(sum);
                         }});
      }
    }
  }
}

void add_selections(std::vector<Case>& cases) {
  const auto by_predicate = [](const Sources& s) { return s[2] != 0 ? s[0] : s[1]; };
  cases.push_back({"selp.{b16,u16,s16}", "hhhp", by_predicate});
  cases.push_back({"selp.{b32,u32,s32}", "wwwp", by_predicate});
  cases.push_back({"selp.{b64,u64,s64}", "dddp", by_predicate});
  cases.push_back({"selp.f32", "fffp", by_predicate});
  cases.push_back({"selp.f64", "gggp", by_predicate});
  const std::pair<const char*, char> kTypes[] = {{".{b16,u16,s16}", 'h'},
                                                 {".{b32,u32,s32}", 'w'},
                                                 {".f32", 'f'},
                                                 {".{b64,u64,s64}", 'd'},
                                                 {".f64", 'g'}};
  for (const auto& [types, letter] : kTypes) {
    const std::string operands(3, letter);
    cases.push_back({std::string("slct") + types + ".s32", operands + "w",
                     [](const Sources& s) { return bit(s[2], 31) ? s[1] : s[0]; }});
    cases.push_back({std::string("slct") + types + ".f32", operands + "f",
                     [](const Sources& s) { return to_float(s[2]) >= 0 ? s[0] : s[1]; }});
    cases.push_back(
        {std::string("slct.ftz") + types + ".f32", operands + "f", [](const Sources& s) {
           const bool tiny = (s[2] & 0x7F800000u) == 0;
           return tiny || to_float(s[2]) >= 0 ? s[0] : s[1];
         }});
  }
}

u64 byte_of(const Sources& s, u32 index) {
  return (index < 4 ? s[0] >> 8 * index : s[1] >> 8 * (index - 4)) & 255u;
}
template <typename F>
Case permutation(const char* name, F index_of) {
  return {name, "wwww", [=](const Sources& s) {
            u64 word = 0;
            for (u32 i = 0; i < 4; ++i) word |= byte_of(s, index_of(u32(s[2]) & 3u, i)) << 8 * i;
            return word;
          }};
}

void add_permutations(std::vector<Case>& cases) {
  cases.push_back({"prmt.b32", "wwww", [](const Sources& s) {
                     u64 word = 0;
                     for (u32 i = 0; i < 4; ++i) {
                       const u32 selector = s[2] >> 4 * i & 15u;
                       const u64 byte = byte_of(s, selector & 7u);
                       word |= (selector > 7 ? (byte > 127 ? 255u : 0u) : byte) << 8 * i;
                     }
                     return word;
                   }});
  // The tables of the manual, byte 0 first.
  static constexpr u32 kForward[4][4] = {{0, 1, 2, 3}, {1, 2, 3, 4}, {2, 3, 4, 5}, {3, 4, 5, 6}};
  static constexpr u32 kBackward[4][4] = {{0, 7, 6, 5}, {1, 0, 7, 6}, {2, 1, 0, 7}, {3, 2, 1, 0}};
  static constexpr u32 kLeft[4][4] = {{0, 1, 2, 3}, {1, 1, 2, 3}, {2, 2, 2, 3}, {3, 3, 3, 3}};
  static constexpr u32 kRight[4][4] = {{0, 0, 0, 0}, {0, 1, 1, 1}, {0, 1, 2, 2}, {0, 1, 2, 3}};
  static constexpr u32 kHalf[4][4] = {{0, 1, 0, 1}, {2, 3, 2, 3}, {0, 1, 0, 1}, {2, 3, 2, 3}};
  cases.push_back(permutation("prmt.b32.f4e", [](u32 c, u32 i) { return kForward[c][i]; }));
  cases.push_back(permutation("prmt.b32.b4e", [](u32 c, u32 i) { return kBackward[c][i]; }));
  cases.push_back(permutation("prmt.b32.rc8", [](u32 c, u32) { return c; }));
  cases.push_back(permutation("prmt.b32.ecl", [](u32 c, u32 i) { return kLeft[c][i]; }));
  cases.push_back(permutation("prmt.b32.ecr", [](u32 c, u32 i) { return kRight[c][i]; }));
  cases.push_back(permutation("prmt.b32.rc16", [](u32 c, u32 i) { return kHalf[c][i]; }));
}

}  // namespace

std::vector<Case> logic_cases() {
  std::vector<Case> cases;
  add_bitwise(cases);
  add_shifts(cases);
  add_fields(cases);
  add_dots(cases);
  add_selections(cases);
  add_permutations(cases);
  return cases;
}

TEST_CASE("bitwise instructions agree with bit-by-bit references", "[ptx]") {
  check_cases(logic_cases());
}

TEST_CASE("lop3 evaluates each of its 256 tables", "[ptx]") {
  for (u32 table = 0; table < 256; ++table) {
    SingleInstruction instruction("lop3.b32 %w0, %w1, %w2, %w3, " + std::to_string(table));
    for (u32 lane = 0; lane < kWarpLanes; ++lane) {
      instruction.set('w', 1, lane, 0xF0F0F0F0u ^ lane);
      instruction.set('w', 2, lane, 0xCCCCCCCCu);
      instruction.set('w', 3, lane, 0xAAAAAAAAu);
    }
    instruction.run(~0u);
    for (const u32 lane : {0u, 17u, 31u}) {
      const u64 a = 0xF0F0F0F0u ^ lane;
      const u64 expected = build(32, [&](u32 i) {
        return bit(table, (bit(a, i) ? 4u : 0u) + (bit(0xCCCCCCCCu, i) ? 2u : 0u) +
                              (bit(0xAAAAAAAAu, i) ? 1u : 0u));
      });
      CHECK(instruction.get('w', 0, lane) == expected);
    }
  }
}

TEST_CASE("lop3 with a predicate tells whether the result has a bit", "[ptx]") {
  SingleInstruction instruction("lop3.or.b32 %w0|%p0, %w1, %w2, %w3, 0x80, %p1");
  for (u32 lane = 0; lane < kWarpLanes; ++lane) {
    for (u32 i = 1; i < 4; ++i) instruction.set('w', i, lane, lane % 3);
    instruction.set('p', 1, lane, lane == 3);
  }
  instruction.run(0x0FFFFFFFu);
  for (u32 lane = 0; lane < kWarpLanes; ++lane) {
    const bool on = lane < 28;
    CHECK(instruction.get('w', 0, lane) == (on ? lane % 3 : 0u));
    CHECK(instruction.get('p', 0, lane) == (on && (lane % 3 != 0 || lane == 3) ? 1u : 0u));
  }
}

}  // namespace ptx_emulator::testing
