// atom and red of every type: each lane's own value, and all lanes on one, against scalar C++.
#include <cmath>
#include <cstring>
#include <functional>
#include <random>

#include "tests/catch.h"
#include "tests/ptx_emulator/tests/machine_harness.h"

namespace ptx_emulator::testing {
namespace {

using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using Bytes = std::vector<std::uint8_t>;
using Reference = std::function<u64(u64 old, u64 b, u64 c)>;

// One operation on one type; vectors are `count` of them side by side.
struct Form {
  std::string words;  // "add.noftz.f16x2"
  u32 bytes;          // of an element
  u32 count;
  Reference after;
  enum Kind { kInteger, kFloat, kHalf, kBrain, kDouble } kind = kInteger;
};

float float_of(u64 bits) {
  return __builtin_bit_cast(float, static_cast<u32>(bits));
}
double double_of(u64 bits) {
  return __builtin_bit_cast(double, bits);
}

// Number formats of 16 bits, written anew: nearest even by trying both neighbours.
double half_value(u64 bits) {
  const int exponent = static_cast<int>(bits >> 10 & 31);
  const double fraction = static_cast<double>(bits & 1023);
  const double size = exponent == 31  ? (fraction == 0 ? INFINITY : NAN)
                      : exponent == 0 ? std::ldexp(fraction, -24)
                                      : std::ldexp(1024 + fraction, exponent - 25);
  return (bits & 0x8000) != 0 ? -size : size;
}
double brain_value(u64 bits) {
  return float_of(bits << 16);
}
u64 nearest(double value, double (*value_of)(u64), u64 infinity) {
  if (std::isnan(value)) return 0x7FFF;
  const u64 sign = std::signbit(value) ? 0x8000 : 0;
  const double size = std::fabs(value);
  u64 below = 0, above = infinity;
  while (above - below > 1) {
    const u64 middle = (below + above) / 2;
    (value_of(middle) <= size ? below : above) = middle;
  }
  // As if the exponent had no end: beyond half a step past the largest number lies infinity.
  const double low = value_of(below);
  const double high = above == infinity ? 2 * low - value_of(below - 1) : value_of(above);
  const double up = high - size, down = size - low;
  const bool take_above = std::isinf(value) || up < down || (up == down && below % 2 == 1);
  return sign | (take_above ? above : below);
}
u64 half_sum(u64 a, u64 b) {
  return nearest(half_value(a) + half_value(b), half_value, 0x7C00);
}
u64 brain_sum(u64 a, u64 b) {
  // The sum of two such numbers in double is exact but for far apart exponents, where the smaller
  // only breaks ties that it cannot reach.
  return nearest(brain_value(a) + brain_value(b), brain_value, 0x7F80);
}
u64 extreme16(u64 a, u64 b, double (*value_of)(u64), bool largest) {
  const double x = value_of(a), y = value_of(b);
  if (std::isnan(x) && std::isnan(y)) return 0x7FFF;
  if (std::isnan(x)) return b;
  if (std::isnan(y)) return a;
  if (x == y) return largest ? a & b : a | b;  // differs in the sign of zero only
  return (x < y) != largest ? a : b;
}
Reference pairs(u64 (*f)(u64, u64)) {
  return [f](u64 old, u64 b, u64) {
    return f(old & 0xFFFF, b & 0xFFFF) | f(old >> 16 & 0xFFFF, b >> 16 & 0xFFFF) << 16;
  };
}
Reference singles(u64 (*f)(u64, u64)) {
  return [f](u64 old, u64 b, u64) { return f(old, b); };
}

float flushed(float x) {
  return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x;
}

std::vector<Form> forms() {
  std::vector<Form> all;
  const auto add = [&](std::string words, u32 bytes, u32 count, Reference f,
                       Form::Kind kind = Form::kInteger) {
    all.push_back({std::move(words), bytes, count, std::move(f), kind});
  };
  for (const u32 bytes : {4u, 8u}) {
    const std::string bits = std::to_string(8 * bytes);
    const u64 mask = bytes == 4 ? 0xFFFFFFFFu : ~u64{0};
    const u32 shift = 64 - 8 * bytes;
    const auto is_less = [shift](u64 a, u64 b, bool is_signed) {
      a <<= shift;
      b <<= shift;
      return is_signed ? static_cast<std::int64_t>(a) < static_cast<std::int64_t>(b) : a < b;
    };
    add("and.b" + bits, bytes, 1, [](u64 a, u64 b, u64) { return a & b; });
    add("or.b" + bits, bytes, 1, [](u64 a, u64 b, u64) { return a | b; });
    add("xor.b" + bits, bytes, 1, [](u64 a, u64 b, u64) { return a ^ b; });
    add("exch.b" + bits, bytes, 1, [](u64, u64 b, u64) { return b; });
    add("cas.b" + bits, bytes, 1, [](u64 a, u64 b, u64 c) { return a == b ? c : a; });
    for (const std::string sign : {"s", "u"}) {
      const bool is_signed = sign == "s";
      add("min." + sign + bits, bytes, 1,
          [=](u64 a, u64 b, u64) { return is_less(b, a, is_signed) ? b : a; });
      add("max." + sign + bits, bytes, 1,
          [=](u64 a, u64 b, u64) { return is_less(a, b, is_signed) ? b : a; });
    }
    add("add.u" + bits, bytes, 1, [=](u64 a, u64 b, u64) { return (a + b) & mask; });
  }
  add("add.s32", 4, 1, [](u64 a, u64 b, u64) { return (a + b) & 0xFFFFFFFFu; });
  add("inc.u32", 4, 1, [](u64 a, u64 b, u64) { return a >= b ? 0 : a + 1; });
  add("dec.u32", 4, 1, [](u64 a, u64 b, u64) { return a == 0 || a > b ? b : a - 1; });
  add("cas.b16", 2, 1, [](u64 a, u64 b, u64 c) { return a == b ? c : a; });
  const Reference f32_sum = [](u64 a, u64 b, u64) {
    return u64{__builtin_bit_cast(u32, float_of(a) + float_of(b))};
  };
  const Reference f32_flushed = [](u64 a, u64 b, u64) {
    return u64{__builtin_bit_cast(u32, flushed(flushed(float_of(a)) + flushed(float_of(b))))};
  };
  add("add.f32", 4, 1, f32_sum, Form::kFloat);
  add("global.add.f32", 4, 1, f32_flushed, Form::kFloat);
  add(
      "add.f64", 8, 1,
      [](u64 a, u64 b, u64) { return __builtin_bit_cast(u64, double_of(a) + double_of(b)); },
      Form::kDouble);
  add("add.noftz.f16", 2, 1, singles(half_sum), Form::kHalf);
  add("add.noftz.bf16", 2, 1, singles(brain_sum), Form::kBrain);
  add("add.noftz.f16x2", 4, 1, pairs(half_sum), Form::kHalf);
  add("add.noftz.bf16x2", 4, 1, pairs(brain_sum), Form::kBrain);
  for (const u32 count : {2u, 4u}) {
    const std::string v = "v" + std::to_string(count);
    add("global." + v + ".f32.add", 4, count, f32_flushed, Form::kFloat);
    add("global." + v + ".f16x2.add.noftz", 4, count, pairs(half_sum), Form::kHalf);
    add("global." + v + ".bf16x2.add.noftz", 4, count, pairs(brain_sum), Form::kBrain);
  }
  for (const u32 count : {2u, 4u, 8u}) {
    const std::string v = "global.v" + std::to_string(count);
    add(v + ".f16.add.noftz", 2, count, singles(half_sum), Form::kHalf);
    add(v + ".bf16.add.noftz", 2, count, singles(brain_sum), Form::kBrain);
    add(
        v + ".bf16.max.noftz", 2, count,
        [](u64 a, u64 b, u64) { return extreme16(a, b, brain_value, true); }, Form::kBrain);
    add(
        v + ".f16.min.noftz", 2, count,
        [](u64 a, u64 b, u64) { return extreme16(a, b, half_value, false); }, Form::kHalf);
  }
  return all;
}

u64 draw(std::mt19937_64& random, const Form& form) {
  static const u64 integers[] = {
      0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, ~u64{0}};
  static const u64 floats[] = {0,          0x80000000, 0x00000001, 0x807FFFFF, 0x00800000,
                               0x7F800000, 0xFF800000, 0x7FC00001, 0x7F7FFFFF, 0x3F800000};
  static const u64 halves[] = {0,      0x8000, 1,      0x8001, 0x03FF, 0x0400,
                               0x7C00, 0xFC00, 0x7E01, 0x7BFF, 0x3C00};
  static const u64 brains[] = {0,      0x8000, 1,      0x8001, 0x007F, 0x0080,
                               0x7F80, 0xFF80, 0x7FC1, 0x7F7F, 0x3F80};
  static const u64 doubles[] = {0,
                                1,
                                0x8000000000000001,
                                0x7FF0000000000000,
                                0xFFF0000000000000,
                                0x7FF8000000000001,
                                0x7FEFFFFFFFFFFFFF,
                                0x3FF0000000000000};
  const bool special = random() % 3 == 0;
  const auto of = [&](const auto& table) { return table[random() % std::size(table)]; };
  const auto sixteen = [&](const auto& table, u64 exponent) {
    // Random numbers near one, so that sums round.
    const auto one = [&] {
      return random() % 3 == 0 ? u64{of(table)} : (random() & 0x83FFu) + exponent;
    };
    return form.bytes == 2 ? one() : one() | one() << 16;
  };
  u64 value = random();
  switch (form.kind) {
    case Form::kInteger:
      value = special ? of(integers) : random() % 2 == 0 ? value % 40 : value;
      break;
    case Form::kFloat:
      value = special ? of(floats) : (value & 0x80FFFFFFu) + 0x3F000000u;
      break;
    case Form::kDouble:
      value = special ? of(doubles) : (value & 0x801FFFFFFFFFFFFFu) + 0x3FE0000000000000u;
      break;
    case Form::kHalf:
      return sixteen(halves, 0x3800);
    case Form::kBrain:
      return sixteen(brains, 0x3E00);
  }
  return form.bytes == 8 ? value : value & ((u64{1} << 8 * form.bytes) - 1);
}

// Whether two values are the same number: of f32 and f64 NaNs the payload is not looked at.
bool same(const Form& form, u64 a, u64 b) {
  if (form.kind == Form::kDouble && std::isnan(double_of(a))) return std::isnan(double_of(b));
  if (form.kind == Form::kFloat && std::isnan(float_of(a))) return std::isnan(float_of(b));
  return a == b;
}

enum class Where { kGlobal, kShared, kGenericGlobal, kGenericShared };

// atom_ and red_: lanes of `mask` combine cells[lane or 0] with b[lane] (and c[lane]).
std::string kernels(const Form& form, Where where) {
  const u32 lane_bytes = form.bytes * form.count;
  const bool shared = where == Where::kShared || where == Where::kGenericShared;
  const bool vector = form.count > 1;
  const bool is_cas = form.words.starts_with("cas");
  const std::string width = "b" + std::to_string(8 * form.bytes);
  const std::string space = form.words.starts_with("global") ? ""
                            : where == Where::kGlobal        ? ".global"
                            : where == Where::kShared        ? ".shared"
                                                             : "";
  const auto list = [&](const char* name) {
    std::string text;
    for (u32 i = 0; i < form.count; ++i)
      text += (i == 0 ? "%" : ", %") + std::string(name) + std::to_string(i);
    return vector ? "{" + text + "}" : text;
  };
  // Vectors of eight are moved one by one.
  const auto move = [&](bool load, const std::string& from, const char* name) {
    std::string text;
    for (u32 i = 0; i < form.count; ++i) {
      const std::string at = "[" + from + "+" + std::to_string(i * form.bytes) + "]";
      const std::string value = "%" + std::string(name) + std::to_string(i);
      text += load ? "ld." + width + " " + value + ", " + at + ";\n"
                   : "st." + width + " " + at + ", " + value + ";\n";
    }
    return text;
  };
  std::string text;
  for (const bool reduces : {false, true}) {
    if (reduces && (is_cas || form.words.starts_with("exch"))) continue;
    text += std::string(".visible .entry ") + (reduces ? "red_" : "atom_") +
            "(.param .u64 cells, .param .u64 pb, .param .u64 pc, .param .u64 old, "
            ".param .u32 mask, .param .u32 distance)\n{\n"
            ".shared .align 32 .b8 room[1024];\n.reg .pred %p;\n"
            ".reg .b32 %lane, %m, %d, %i, %s;\n.reg .b64 %wide, %g, %b, %c, %o, %at;\n.reg ." +
            width + " %x<9>, %y<9>, %z<9>;\n";
    text +=
        "mov.u32 %lane, %laneid;\nld.param.u32 %m, [mask];\nld.param.u32 %d, [distance];\n"
        "ld.param.u64 %g, [cells];\nld.param.u64 %b, [pb];\nld.param.u64 %c, [pc];\n"
        "ld.param.u64 %o, [old];\n"
        "mul.wide.u32 %wide, %lane, " +
        std::to_string(lane_bytes) +
        ";\nadd.u64 %b, %b, %wide;\nadd.u64 %c, %c, %wide;\nadd.u64 %o, %o, %wide;\n"
        "add.u64 %wide, %g, %wide;\nmov.u32 %s, room;\n";
    const std::string index =
        "mul.lo.u32 %i, %lane, " + std::to_string(lane_bytes) + ";\nadd.u32 %i, %i, %s;\n";
    if (shared) {
      text += index + move(true, "%wide", "x");
      for (u32 i = 0; i < form.count; ++i) {
        text += "st.shared." + width + " [%i+" + std::to_string(i * form.bytes) + "], %x" +
                std::to_string(i) + ";\n";
      }
      text += "bar.warp.sync -1;\n";
    }
    text += move(true, "%b", "y") + move(true, "%c", "z") + move(true, "%o", "x") +
            "mul.lo.u32 %i, %lane, %d;\ncvt.u64.u32 %at, %i;\n";
    std::string address = "[%at]";
    if (where == Where::kShared) {
      text += "add.u32 %i, %i, %s;\n";
      address = "[%i]";
    } else if (where == Where::kGenericShared) {
      text += "mov.u64 %g, room;\ncvta.shared.u64 %g, %g;\nadd.u64 %at, %at, %g;\n";
    } else {
      text += "add.u64 %at, %at, %g;\n";
    }
    text += "shr.u32 %m, %m, %lane;\nand.b32 %m, %m, 1;\nsetp.eq.u32 %p, %m, 1;\n@%p ";
    if (reduces) {
      text += "red" + space + "." + form.words + " " + address + ", " + list("y") + ";\n";
    } else {
      text += "atom" + space + "." + form.words + " " + list("x") + ", " + address + ", " +
              list("y") + (is_cas ? ", %z0" : "") + ";\n" + move(false, "%o", "x");
    }
    if (shared) {
      text += "bar.warp.sync -1;\n" + index;
      for (u32 i = 0; i < form.count; ++i) {
        text += "ld.shared." + width + " %x" + std::to_string(i) + ", [%i+" +
                std::to_string(i * form.bytes) + "];\n";
      }
      text += move(false, "%wide", "x");
    }
    text += "ret;\n}\n";
  }
  return text;
}

u64 element(const Bytes& bytes, const Form& form, u32 lane, u32 i) {
  u64 value = 0;
  std::memcpy(&value, &bytes[(lane * form.count + i) * form.bytes], form.bytes);
  return value;
}
void set_element(Bytes& bytes, const Form& form, u32 lane, u32 i, u64 value) {
  std::memcpy(&bytes[(lane * form.count + i) * form.bytes], &value, form.bytes);
}

void check(const Form& form, Where where) {
  const u32 lane_bytes = form.bytes * form.count;
  Bench bench(kernels(form, where));
  std::mt19937_64 random(5);
  for (const char* name : {"atom_", "red_"}) {
    if (bench.program.function(name) == nullptr) continue;
    const auto& unsupported = bench.program.function(name)->unsupported;
    INFO(name << " " << form.words << " space " << static_cast<int>(where));
    REQUIRE(unsupported == std::vector<std::string>{});
    for (int round = 0; round < 24; ++round) {
      const u32 mask = round % 3 == 0 ? 0xFFFFFFFFu : static_cast<u32>(random());
      const u32 distance = round % 2 == 0 ? lane_bytes : 0;
      Bytes cells(32 * lane_bytes), b(cells), c(cells), old(cells.size(), 0xA5);
      for (u32 lane = 0; lane < 32; ++lane) {
        for (u32 i = 0; i < form.count; ++i) {
          set_element(cells, form, lane, i, draw(random, form));
          set_element(b, form, lane, i,
                      random() % 3 == 0 ? element(cells, form, lane, i) : draw(random, form));
          set_element(c, form, lane, i, draw(random, form));
        }
      }
      const u64 at = bench.upload(cells), to = bench.upload(old);
      const LaunchResult result =
          bench.run(name, {}, {32, 1, 1}, at, bench.upload(b), bench.upload(c), to, mask, distance);
      REQUIRE((result.fault ? result.fault->text() : "") == "");
      const Bytes got = bench.download<std::uint8_t>(at, cells.size());
      const Bytes before = bench.download<std::uint8_t>(to, cells.size());
      for (u32 lane = 0; lane < 32; ++lane) {
        for (u32 i = 0; i < form.count; ++i) {
          const u64 kept = element(old, form, lane, i);
          const u64 seen = element(before, form, lane, i);
          const u32 cell = distance == 0 ? 0 : lane;
          if ((mask >> lane & 1) == 0) {
            REQUIRE(seen == kept);
            continue;
          }
          const u64 was = element(cells, form, cell, i);
          INFO("lane " << lane << std::hex << " was " << was << " b " << element(b, form, lane, i)
                       << " c " << element(c, form, lane, i) << " seen " << seen);
          if (name[0] == 'a') REQUIRE(same(form, was, seen));
          set_element(cells, form, cell, i,
                      form.after(was, element(b, form, lane, i), element(c, form, lane, i)));
        }
      }
      for (u32 lane = 0; lane < 32; ++lane) {
        for (u32 i = 0; i < form.count; ++i) {
          INFO("cell " << lane << std::hex << " " << element(got, form, lane, i) << " expected "
                       << element(cells, form, lane, i));
          REQUIRE(same(form, element(cells, form, lane, i), element(got, form, lane, i)));
        }
      }
    }
  }
}

}  // namespace

TEST_CASE("atomic operations of every type combine values as scalars do", "[ptx]") {
  for (const Form& form : forms()) {
    if (form.words.starts_with("global")) {
      check(form, Where::kGlobal);
      continue;
    }
    // f32 sums flush in global memory and keep small numbers in shared memory.
    const bool shared_only = form.words == "add.f32";
    if (!shared_only) check(form, Where::kGlobal);
    if (!shared_only) check(form, Where::kGenericGlobal);
    check(form, Where::kShared);
    check(form, Where::kGenericShared);
  }
}

}  // namespace ptx_emulator::testing
