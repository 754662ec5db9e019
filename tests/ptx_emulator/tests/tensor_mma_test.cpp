// mma.sync: fragments against the index formulas of the PTX manual, sums against scalar loops.
#include <cmath>
#include <functional>
#include <random>

#include "tests/catch.h"
#include "tests/ptx_emulator/machine/tensor/number_formats.h"
#include "tests/ptx_emulator/tests/tensor_harness.h"
#include "tests/ptx_emulator/tests/tensor_layouts.h"

namespace ptx_emulator::testing {
namespace {

const Layout& layout(const std::string& shape, Index bits) {
  for (const Layout& one : kLayouts) {
    if (one.shape == shape && one.bits == bits) return one;
  }
  throw std::logic_error("no such layout");
}

// A type of elements: the number that its bits stand for.
struct Type {
  const char* name;
  Index bits;
  double (*value)(std::uint32_t);
};
double f16_value(std::uint32_t x) {
  return tensor::float_of_f16(static_cast<std::uint16_t>(x));
}
double bf16_value(std::uint32_t x) {
  return __builtin_bit_cast(float, x << 16);
}
double tf32_value(std::uint32_t x) {
  return __builtin_bit_cast(float, x);
}
double e4m3_value(std::uint32_t x) {
  const double sign = x & 128 ? -1 : 1;
  const int exponent = static_cast<int>(x >> 3 & 15);
  const double fraction = x & 7;
  return sign *
         (exponent == 0 ? std::ldexp(fraction, -9) : std::ldexp(8 + fraction, exponent - 10));
}
double e5m2_value(std::uint32_t x) {
  const double sign = x & 128 ? -1 : 1;
  const int exponent = static_cast<int>(x >> 2 & 31);
  const double fraction = x & 3;
  return sign *
         (exponent == 0 ? std::ldexp(fraction, -16) : std::ldexp(4 + fraction, exponent - 17));
}
double s8_value(std::uint32_t x) {
  return static_cast<std::int8_t>(x);
}
double u8_value(std::uint32_t x) {
  return x;
}
double s4_value(std::uint32_t x) {
  return x < 8 ? x : static_cast<double>(x) - 16;
}
double u4_value(std::uint32_t x) {
  return x;
}

const Type kTypes[] = {{"f16", 16, f16_value},  {"bf16", 16, bf16_value}, {"tf32", 32, tf32_value},
                       {"e4m3", 8, e4m3_value}, {"e5m2", 8, e5m2_value},  {"s8", 8, s8_value},
                       {"u8", 8, u8_value},     {"s4", 4, s4_value},      {"u4", 4, u4_value}};
const Type& type(const std::string& name) {
  for (const Type& one : kTypes) {
    if (one.name == name) return one;
  }
  throw std::logic_error("no such type");
}

// Random bits of a type that stand for a finite number of moderate size.
std::uint32_t draw(std::mt19937& random, const Type& of) {
  const std::uint32_t mask = of.bits == 32 ? ~0u : (1u << of.bits) - 1;
  while (true) {
    std::uint32_t bits = static_cast<std::uint32_t>(random()) & mask;
    if (of.bits == 32) bits &= 0xFFFFE000u;
    const double value = of.value(bits);
    if (std::isfinite(value) && std::fabs(value) <= 256 &&
        (value == 0 || std::fabs(value) >= 0x1p-14)) {
      if (of.bits == 8 && (bits & 0x7F) == 0x7F && of.name[0] == 'e') continue;
      return bits;
    }
  }
}

using Words = std::vector<std::uint32_t>;

// Registers of 32 lanes filled with elements by a formula.
Words fragment(Index bits, Index elements, const std::function<std::uint32_t(Index, Index)>& at) {
  const Index per_register = 32 / bits;
  Words words(elements / per_register * 32);
  for (Index lane = 0; lane < 32; ++lane) {
    for (Index i = 0; i < elements; ++i) {
      words[i / per_register * 32 + lane] |= at(i, lane) << bits * (i % per_register);
    }
  }
  return words;
}

// Runs one product on given fragments; registers of d as words.
Words run_mma(const std::string& instruction, const Words& a, const Words& b, const Words& c,
              std::size_t num_d, bool float_c, bool float_d) {
  const auto list = [](const std::string& name, std::size_t count) {
    std::string text = "{";
    for (std::size_t i = 0; i < count; ++i) {
      text += (i == 0 ? "" : ", ") + ("%" + name + std::to_string(i));
    }
    return text + "}";
  };
  const std::size_t counts[] = {a.size() / 32, b.size() / 32, c.size() / 32};
  const char* names[] = {"a", "b", "c"};
  std::string body = "mov.u32 %lane, %laneid;\nmul.wide.u32 %offset, %lane, 4;\n";
  for (std::size_t operand = 0; operand < 3; ++operand) {
    body += "add.u64 %at, %arg" + std::to_string(operand) + ", %offset;\n";
    const std::string word = operand == 2 && float_c ? "f32" : "b32";
    for (std::size_t i = 0; i < counts[operand]; ++i) {
      body += "ld.global." + word + " %" + names[operand] + std::to_string(i) + ", [%at+" +
              std::to_string(128 * i) + "];\n";
    }
  }
  body += instruction + " " + list("d", num_d) + ", " + list("a", counts[0]) + ", " +
          list("b", counts[1]) + ", " + list("c", counts[2]) + ";\n";
  body += "add.u64 %at, %arg3, %offset;\n";
  for (std::size_t i = 0; i < num_d; ++i) {
    body += "st.global." + std::string(float_d ? "f32" : "b32") + " [%at+" +
            std::to_string(128 * i) + "], %d" + std::to_string(i) + ";\n";
  }
  const std::string declarations =
      ".reg .b32 %lane;\n.reg .b64 %offset, %at;\n.reg .b32 %a<9>, %b<9>;\n.reg " +
      std::string(float_c ? ".f32" : ".b32") + " %c<9>;\n.reg " + (float_d ? ".f32" : ".b32") +
      " %d<9>;\n";
  Device device;
  const std::uint64_t out = device.upload(Words(num_d * 32));
  const LaunchResult result =
      device.run(kernel_text(4, declarations, body), {},
                 {device.upload(a), device.upload(b), device.upload(c), out});
  REQUIRE(fault_of(result) == "");
  return device.download<std::uint32_t>(out, num_d * 32);
}

struct Problem {
  const Layout* of;
  std::vector<double> a, b;  // (M, K), (K, N)
  Words a_registers, b_registers;
};

Problem make_problem(std::mt19937& random, const Layout& of, const Type& a_type,
                     const Type& b_type) {
  Problem problem{&of, std::vector<double>(of.M * of.K), std::vector<double>(of.K * of.N), {}, {}};
  problem.a_registers = fragment(of.bits, of.M * of.K / 32, [&](Index i, Index lane) {
    const Coordinates at = of.a(i, lane / 4, lane % 4);
    const std::uint32_t bits = draw(random, a_type);
    problem.a[at.row * of.K + at.column] = a_type.value(bits);
    return bits;
  });
  problem.b_registers = fragment(of.bits, of.K * of.N / 32, [&](Index i, Index lane) {
    const Coordinates at = of.b(i, lane / 4, lane % 4);
    const std::uint32_t bits = draw(random, b_type);
    problem.b[at.row * of.N + at.column] = b_type.value(bits);
    return bits;
  });
  return problem;
}

Coordinates accumulator(Index i, Index lane) {
  return {i < 2 ? lane / 4 : lane / 4 + 8, 2 * (lane % 4) + (i & 1)};
}

// One f32 fused multiply-add for each k, in order.
float chain(const Problem& problem, Coordinates at, float start) {
  float sum = start;
  for (Index k = 0; k < problem.of->K; ++k) {
    sum = std::fma(static_cast<float>(problem.a[at.row * problem.of->K + k]),
                   static_cast<float>(problem.b[k * problem.of->N + at.column]), sum);
  }
  return sum;
}

void check_f32(const std::string& shape, const std::string& a, const std::string& b) {
  INFO(shape << " " << a << " " << b);
  std::mt19937 random(1);
  const Problem problem = make_problem(random, layout(shape, type(a).bits), type(a), type(b));
  std::uniform_real_distribution<float> uniform(-100, 100);
  Words c(128);
  for (std::uint32_t& word : c) word = __builtin_bit_cast(std::uint32_t, uniform(random));
  const Words d = run_mma("mma.sync.aligned." + shape + ".row.col.f32." + a + "." + b + ".f32",
                          problem.a_registers, problem.b_registers, c, 4, true, true);
  for (Index lane = 0; lane < 32; ++lane) {
    for (Index i = 0; i < 4; ++i) {
      INFO("lane " << lane << " register " << i);
      const float expected =
          chain(problem, accumulator(i, lane), __builtin_bit_cast(float, c[32 * i + lane]));
      REQUIRE(d[32 * i + lane] == __builtin_bit_cast(std::uint32_t, expected));
    }
  }
}

void check_s32(const std::string& shape, const std::string& a, const std::string& b,
               bool saturate) {
  INFO(shape << " " << a << " " << b);
  std::mt19937 random(2);
  const Layout& of = layout(shape, type(a).bits);
  const Problem problem = make_problem(random, of, type(a), type(b));
  const Index num_c = of.M / 4;
  Words c(32 * num_c);
  // Close to both ends of the range, so that saturation and wrapping differ.
  for (std::uint32_t& word : c) {
    word = static_cast<std::uint32_t>(random() % 2 != 0 ? 0x7FFFFF00 : -0x7FFFFF00);
  }
  const Words d = run_mma("mma.sync.aligned." + shape + ".row.col." +
                              (saturate ? "satfinite." : "") + "s32." + a + "." + b + ".s32",
                          problem.a_registers, problem.b_registers, c, num_c, false, false);
  for (Index lane = 0; lane < 32; ++lane) {
    for (Index i = 0; i < num_c; ++i) {
      const Coordinates at = accumulator(i, lane);
      auto sum = static_cast<std::int64_t>(static_cast<std::int32_t>(c[32 * i + lane]));
      for (Index k = 0; k < of.K; ++k) {
        sum += static_cast<std::int64_t>(problem.a[at.row * of.K + k] *
                                         problem.b[k * of.N + at.column]);
      }
      if (saturate) sum = std::min<std::int64_t>(std::max<std::int64_t>(sum, INT32_MIN), INT32_MAX);
      REQUIRE(d[32 * i + lane] == static_cast<std::uint32_t>(sum));
    }
  }
}

}  // namespace

TEST_CASE("mma of 16-bit floats and tf32 sums in f32 over ascending k", "[ptx]") {
  for (const char* shape : {"m16n8k8", "m16n8k16"}) {
    check_f32(shape, "f16", "f16");
    check_f32(shape, "bf16", "bf16");
  }
  check_f32("m16n8k4", "tf32", "tf32");
  check_f32("m16n8k8", "tf32", "tf32");
}

TEST_CASE("mma of 8-bit floats takes every pair of types", "[ptx]") {
  for (const char* shape : {"m16n8k16", "m16n8k32"}) {
    for (const char* a : {"e4m3", "e5m2"}) {
      for (const char* b : {"e4m3", "e5m2"}) check_f32(shape, a, b);
    }
  }
}

TEST_CASE("mma with f16 accumulators rounds once", "[ptx]") {
  std::mt19937 random(3);
  const Problem problem = make_problem(random, layout("m16n8k16", 16), type("f16"), type("f16"));
  const Type& half = type("f16");
  std::vector<std::uint32_t> numbers(16 * 8);
  for (std::uint32_t& number : numbers) number = draw(random, half);
  const auto index = [](Index i, Index lane) {
    const Coordinates at = accumulator(i, lane);
    return at.row * 8 + at.column;
  };
  const Words c = fragment(16, 4, [&](Index i, Index lane) { return numbers[index(i, lane)]; });
  const Words d = run_mma("mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16", problem.a_registers,
                          problem.b_registers, c, 2, false, false);
  for (Index lane = 0; lane < 32; ++lane) {
    for (Index i = 0; i < 4; ++i) {
      const double start = half.value(numbers[index(i, lane)]);
      const float sum = chain(problem, accumulator(i, lane), static_cast<float>(start));
      const std::uint32_t got = d[i / 2 * 32 + lane] >> 16 * (i & 1) & 0xFFFFu;
      // Nearest f16: half a unit in the last place of 11 bits, or infinity.
      const double value = half.value(got);
      if (std::fabs(sum) >= 65520) {
        REQUIRE(std::isinf(value));
      } else {
        REQUIRE(std::fabs(value - static_cast<double>(sum)) <=
                std::max(std::ldexp(std::fabs(static_cast<double>(sum)), -11), 0x1p-25));
      }
    }
  }
}

TEST_CASE("mma of integers wraps, and saturates where asked", "[ptx]") {
  for (const bool saturate : {false, true}) {
    for (const char* shape : {"m8n8k16", "m16n8k16", "m16n8k32"}) {
      check_s32(shape, "s8", "u8", saturate);
      check_s32(shape, "u8", "s8", saturate);
    }
    for (const char* shape : {"m8n8k32", "m16n8k32", "m16n8k64"}) {
      check_s32(shape, "s4", "u4", saturate);
      check_s32(shape, "s4", "s4", saturate);
    }
  }
}

TEST_CASE("mma of single bits counts", "[ptx]") {
  std::mt19937 random(4);
  for (const bool use_and : {false, true}) {
    for (const char* shape : {"m16n8k128", "m16n8k256"}) {
      const Layout& of = layout(shape, 1);
      std::vector<std::uint32_t> a(of.M * of.K);
      std::vector<std::uint32_t> b(of.K * of.N);
      for (std::uint32_t& bit : a) bit = random() & 1;
      for (std::uint32_t& bit : b) bit = random() & 1;
      const Words a_registers = fragment(1, of.M * of.K / 32, [&](Index i, Index lane) {
        const Coordinates at = of.a(i, lane / 4, lane % 4);
        return a[at.row * of.K + at.column];
      });
      const Words b_registers = fragment(1, of.K * of.N / 32, [&](Index i, Index lane) {
        const Coordinates at = of.b(i, lane / 4, lane % 4);
        return b[at.row * of.N + at.column];
      });
      const Words d = run_mma(std::string("mma.sync.aligned.") + shape + ".row.col.s32.b1.b1.s32." +
                                  (use_and ? "and" : "xor") + ".popc",
                              a_registers, b_registers, Words(128, 5), 4, false, false);
      for (Index lane = 0; lane < 32; ++lane) {
        for (Index i = 0; i < 4; ++i) {
          const Coordinates at = accumulator(i, lane);
          std::uint32_t sum = 5;
          for (Index k = 0; k < of.K; ++k) {
            const std::uint32_t x = a[at.row * of.K + k];
            const std::uint32_t y = b[k * of.N + at.column];
            sum += use_and ? x & y : x ^ y;
          }
          REQUIRE(d[32 * i + lane] == sum);
        }
      }
    }
  }
}

}  // namespace ptx_emulator::testing
