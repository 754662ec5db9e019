// Shuffles, votes, matches and reductions among the lanes of one warp against the manual's
// pseudocode.

#include <cmath>

#include "tests/catch.h"
#include "tests/ptx_emulator/tests/opcode_harness.h"

namespace ptx_emulator::testing {
namespace {

bool bit(u64 word, u32 index) {
  return (word >> index & 1u) != 0;
}

// The pseudocode of shfl.sync, for one lane: source lane and predicate.
std::pair<u32, bool> shuffle_source(const std::string& mode, u32 lane, u32 b, u32 c) {
  const u32 bval = b & 31, cval = c & 31, segment = c >> 8 & 31;
  const u32 max_lane = (lane & segment) | (cval & ~segment & 31);
  const u32 min_lane = lane & segment;
  int j = 0;
  bool p = false;
  if (mode == "up") {
    j = static_cast<int>(lane) - static_cast<int>(bval);
    p = j >= static_cast<int>(max_lane);
  } else if (mode == "down") {
    j = static_cast<int>(lane + bval);
    p = j <= static_cast<int>(max_lane);
  } else if (mode == "bfly") {
    j = static_cast<int>(lane ^ bval);
    p = j <= static_cast<int>(max_lane);
  } else {
    j = static_cast<int>(min_lane | (bval & ~segment));
    p = j <= static_cast<int>(max_lane);
  }
  return {p ? static_cast<u32>(j) : lane, p};
}

// The union of groups: lane i belongs to one of 1, 2 or 4 groups of equal size.
u32 group_mask(u32 lane, u32 num_groups) {
  const u32 width = 32 / num_groups;
  return (width == 32 ? ~0u : (1u << width) - 1) << (lane / width * width);
}

}  // namespace

TEST_CASE("shuffles follow the pseudocode for every mode, shift and segment", "[ptx]") {
  std::mt19937_64 random(3);
  for (const std::string mode : {"up", "down", "bfly", "idx"}) {
    SingleInstruction apart("shfl.sync." + mode + ".b32 %w0|%p0, %w1, %w2, %w3, %w4");
    SingleInstruction in_place("shfl.sync." + mode + ".b32 %w1, %w1, %w2, %w3, -1");
    for (u32 round = 0; round < 60; ++round) {
      const u32 active = round % 3 == 0 ? ~0u : static_cast<u32>(random()) | 1u;
      const u32 clamp = mode == "up" ? 0 : 31;
      const u32 c =
          round < 8 ? (0x1Fu & ~((1u << (round % 6)) - 1)) << 8 | clamp : u32(random()) & 0x1F1Fu;
      const u32 shift = round < 32 ? round : u32(random());
      for (u32 lane = 0; lane < kWarpLanes; ++lane) {
        for (SingleInstruction* each : {&apart, &in_place}) {
          each->set('w', 0, lane, 7);
          each->set('w', 1, lane, 100 + lane);
          each->set('w', 2, lane, round % 2 == 0 ? shift : shift + lane);
          each->set('w', 3, lane, c);
          each->set('w', 4, lane, active);
        }
      }
      apart.run(active);
      in_place.run(~0u);
      for (u32 lane = 0; lane < kWarpLanes; ++lane) {
        const u32 b = round % 2 == 0 ? shift : shift + lane;
        const auto [from, p] = shuffle_source(mode, lane, b, c);
        INFO(mode << " lane " << lane << " b " << b << " c " << c << " active " << active);
        CHECK(in_place.get('w', 1, lane) == 100 + from);
        if (!bit(active, lane)) {
          CHECK(apart.get('w', 0, lane) == 7);
        } else {
          CHECK(apart.get('p', 0, lane) == (p ? 1u : 0u));
          CHECK(apart.get('w', 0, lane) == (bit(active, from) ? 100 + from : 0xFFFFFFFFu));
        }
      }
    }
  }
}

TEST_CASE("votes count the lanes of each lane's own mask", "[ptx]") {
  std::mt19937_64 random(4);
  SingleInstruction all("vote.sync.all.pred %p0, %p1, %w1"),
      any("vote.sync.any.pred %p0, %p1, %w1");
  SingleInstruction uni("vote.sync.uni.pred %p0, !%p1, %w1");
  SingleInstruction ballot("vote.sync.ballot.b32 %w0, %p1, %w1");
  for (u32 round = 0; round < 40; ++round) {
    const u32 groups = 1u << round % 3;
    // Mostly equal votes, so that every answer occurs.
    const u32 votes =
        round % 4 == 0 ? ~0u : (round % 4 == 1 ? 0u : u32(random() & random()) | 0xFFu);
    for (SingleInstruction* each : {&all, &any, &uni, &ballot}) {
      for (u32 lane = 0; lane < kWarpLanes; ++lane) {
        each->set('w', 1, lane, group_mask(lane, groups));
        each->set('p', 1, lane, votes >> lane & 1u);
      }
      each->run(~0u);
    }
    for (u32 lane = 0; lane < kWarpLanes; ++lane) {
      const u32 mask = group_mask(lane, groups), yes = votes & mask;
      CHECK(all.get('p', 0, lane) == (yes == mask ? 1u : 0u));
      CHECK(any.get('p', 0, lane) == (yes != 0 ? 1u : 0u));
      CHECK(uni.get('p', 0, lane) == (yes == mask || yes == 0 ? 1u : 0u));
      CHECK(ballot.get('w', 0, lane) == yes);
    }
  }
}

TEST_CASE("matches find the lanes that hold the same value", "[ptx]") {
  std::mt19937_64 random(5);
  for (const bool wide : {false, true}) {
    const std::string type = wide ? "b64" : "b32", letter = wide ? "%d" : "%w";
    SingleInstruction any("match.any.sync." + type + " %w0, " + letter + "2, %w1");
    SingleInstruction all("match.all.sync." + type + " %w0|%p0, " + letter + "2, %w1");
    for (u32 round = 0; round < 20; ++round) {
      const u32 groups = 1u << round % 3;
      u64 values[kWarpLanes];
      for (u32 lane = 0; lane < kWarpLanes; ++lane) {
        values[lane] = round % 2 == 0 ? lane / 8 : (random() % 3) << (wide ? 33 : 2);
        for (SingleInstruction* each : {&any, &all}) {
          each->set('w', 1, lane, group_mask(lane, groups));
          each->set(wide ? 'd' : 'w', 2, lane, values[lane]);
        }
      }
      any.run(~0u);
      all.run(~0u);
      for (u32 lane = 0; lane < kWarpLanes; ++lane) {
        const u32 mask = group_mask(lane, groups);
        u32 equal = 0;
        for (u32 j = 0; j < kWarpLanes; ++j) {
          if (bit(mask, j) && values[j] == values[lane]) equal |= 1u << j;
        }
        CHECK(any.get('w', 0, lane) == equal);
        CHECK(all.get('w', 0, lane) == (equal == mask ? mask : 0u));
        CHECK(all.get('p', 0, lane) == (equal == mask ? 1u : 0u));
      }
    }
  }
}

TEST_CASE("redux reduces over each lane's own mask", "[ptx]") {
  struct Reduction {
    const char* name;
    u64 (*f)(u64, u64);
  };
  const Reduction kReductions[] = {
      {"add.u32", [](u64 a, u64 b) { return (a + b) & 0xFFFFFFFFu; }},
      {"add.s32", [](u64 a, u64 b) { return (a + b) & 0xFFFFFFFFu; }},
      {"min.u32", [](u64 a, u64 b) { return std::min(a, b); }},
      {"max.u32", [](u64 a, u64 b) { return std::max(a, b); }},
      {"min.s32", [](u64 a, u64 b) { return s32(a) < s32(b) ? a : b; }},
      {"max.s32", [](u64 a, u64 b) { return s32(a) < s32(b) ? b : a; }},
      {"and.b32", [](u64 a, u64 b) { return a & b; }},
      {"or.b32", [](u64 a, u64 b) { return a | b; }},
      {"xor.b32", [](u64 a, u64 b) { return a ^ b; }},
      {"min.f32", [](u64 a, u64 b) { return result(std::fmin(to_float(a), to_float(b))); }},
      {"max.f32", [](u64 a, u64 b) { return result(std::fmax(to_float(a), to_float(b))); }},
      {"max.abs.f32",
       [](u64 a, u64 b) {
         return result(std::fmax(std::fabs(to_float(a)), std::fabs(to_float(b))));
       }},
      {"min.abs.f32",
       [](u64 a, u64 b) {
         return result(std::fmin(std::fabs(to_float(a)), std::fabs(to_float(b))));
       }},
      {"max.NaN.f32", [](u64 a, u64 b) {
         const float x = to_float(a), y = to_float(b);
         return std::isnan(x) || std::isnan(y) ? u64{0x7FFFFFFF} : result(std::fmax(x, y));
       }}};
  std::mt19937_64 random(6);
  for (const Reduction& reduction : kReductions) {
    const char letter = std::string(reduction.name).ends_with("f32") ? 'f' : 'w';
    const std::string registers = std::string(" %") + letter + "0, %" + letter + "1, %w2";
    SingleInstruction instruction(std::string("redux.sync.") + reduction.name + registers);
    for (u32 round = 0; round < 12; ++round) {
      // The last rounds have a group of its own for each lane.
      const u32 groups = round > 9 ? 32 : 1u << round % 3;
      u64 values[kWarpLanes];
      for (u32 lane = 0; lane < kWarpLanes; ++lane) {
        values[lane] = letter == 'f'
                           ? of_float(static_cast<float>(static_cast<s32>(random())) * 0x1p-20f)
                           : draw(random, 'w');
        if (letter == 'f' && lane == 5 && round > 6) values[lane] = 0x7FC00000;
        instruction.set(letter, 1, lane, values[lane]);
        instruction.set('w', 2, lane, group_mask(lane, groups));
      }
      instruction.run(~0u);
      for (u32 lane = 0; lane < kWarpLanes; ++lane) {
        const u32 mask = group_mask(lane, groups);
        u64 total = values[static_cast<u32>(__builtin_ctz(mask))];
        if (letter == 'f') total = reduction.f(total, total);
        for (u32 j = static_cast<u32>(__builtin_ctz(mask)) + 1; j < kWarpLanes; ++j) {
          if (bit(mask, j)) total = reduction.f(total, values[j]);
        }
        INFO(reduction.name << " lane " << lane);
        CHECK(instruction.get(letter, 0, lane) == total);
      }
    }
  }
}

TEST_CASE("elect chooses the lowest lane, activemask tells the lanes", "[ptx]") {
  SingleInstruction elect("elect.sync %w0|%p0, %w1"), active("activemask.b32 %w0");
  constexpr u32 kActive = 0xF0F0F0F0u;
  for (u32 lane = 0; lane < kWarpLanes; ++lane) elect.set('w', 1, lane, kActive);
  elect.run(kActive);
  active.run(kActive);
  for (u32 lane = 0; lane < kWarpLanes; ++lane) {
    const bool on = bit(kActive, lane);
    CHECK(elect.get('w', 0, lane) == (on ? 4u : 0u));
    CHECK(elect.get('p', 0, lane) == (lane == 4 ? 1u : 0u));
    CHECK(active.get('w', 0, lane) == (on ? kActive : 0u));
  }
}

}  // namespace ptx_emulator::testing
