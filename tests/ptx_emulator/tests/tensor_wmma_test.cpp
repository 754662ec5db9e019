// wmma: load, multiply, store in every shape and layout; and the products of doubles.
#include <cmath>
#include <random>

#include "tests/catch.h"
#include "tests/ptx_emulator/tests/tensor_harness.h"

namespace ptx_emulator::testing {
namespace {

using Index = std::uint32_t;

// A type of A and B, its accumulator, and the registers of a fragment as the instruction wants
// them.
struct Kind {
  const char* input;
  const char* output;
  Index bytes;
};

struct Shape {
  Index M, N, K;
  std::string name() const {
    return "m" + std::to_string(M) + "n" + std::to_string(N) + "k" + std::to_string(K);
  }
};

void put(std::vector<std::uint8_t>& memory, Index index, const Kind& kind, int value) {
  const std::string type = kind.input;
  const auto number = static_cast<float>(value);
  std::uint32_t bits = __builtin_bit_cast(std::uint32_t, number);
  if (type == "bf16") bits >>= 16;
  if (type == "f16") {
    // Small integers: exponent and the upper ten bits of the fraction, rebiased.
    bits = value == 0 ? 0 : (bits >> 16 & 0x8000u) | ((bits & 0x7FFFFFFFu) - 0x38000000u) >> 13;
  }
  if (type == "s8") bits = static_cast<std::uint32_t>(value) & 0xFFu;
  if (type == "f64") {
    const double wide = value;
    std::memcpy(&memory[index * 8], &wide, 8);
    return;
  }
  std::memcpy(&memory[index * kind.bytes], &bits, kind.bytes);
}

std::string list(const std::string& name, Index count) {
  std::string text = "{";
  for (Index i = 0; i < count; ++i) text += (i == 0 ? "" : ", ") + ("%" + name) + std::to_string(i);
  return text + "}";
}

Index fragment_registers(const Kind& kind, Index elements) {
  if (std::string(kind.input) == "f16") return 8;
  if (kind.bytes == 8) return elements / 32;
  return elements * kind.bytes / 4 / 32;
}

void check(const Kind& kind, const Shape& shape, bool a_rows, bool b_rows, bool c_rows) {
  INFO(kind.input << " " << shape.name() << " " << a_rows << b_rows << c_rows);
  const auto [M, N, K] = shape;
  std::mt19937 random(M * 7 + N);
  const auto draw = [&] { return static_cast<int>(random() % 15) - 7; };
  const auto pad = [&](Index n) { return n + 16 / kind.bytes; };
  const Index lda = pad(a_rows ? K : M);
  const Index ldb = pad(b_rows ? N : K);
  const Index ldc = (c_rows ? N : M) + 4;
  std::vector<std::uint8_t> a(lda * 64 * kind.bytes);
  std::vector<std::uint8_t> b(ldb * 64 * kind.bytes);
  std::vector<int> a_values(M * K);
  std::vector<int> b_values(K * N);
  for (Index m = 0; m < M; ++m) {
    for (Index k = 0; k < K; ++k) {
      put(a, a_rows ? m * lda + k : k * lda + m, kind, a_values[m * K + k] = draw());
    }
  }
  for (Index k = 0; k < K; ++k) {
    for (Index n = 0; n < N; ++n) {
      put(b, b_rows ? k * ldb + n : n * ldb + k, kind, b_values[k * N + n] = draw());
    }
  }
  const std::string out = kind.output;
  const bool wide = out == "f64";
  const Index num_c = M * N / 32;
  const auto layout = [](bool rows) { return rows ? "row." : "col."; };
  const std::string types = std::string(kind.input) == "f16"
                                ? "f32.f32"
                                : out + "." + kind.input + "." + kind.input + "." + out;
  std::string body;
  const auto load = [&](const char* which, bool rows, const std::string& type, Index count,
                        int argument, Index leading) {
    body += std::string("wmma.load.") + which + ".sync.aligned." + layout(rows) + shape.name() +
            ".global." + type + " " + list(which, count) + ", [%arg" + std::to_string(argument) +
            "], " + std::to_string(leading) + ";\n";
  };
  const Index num_a = fragment_registers(kind, M * K);
  const Index num_b = fragment_registers(kind, K * N);
  load("a", a_rows, kind.input, num_a, 0, lda);
  load("b", b_rows, kind.input, num_b, 1, ldb);
  load("c", c_rows, out, num_c, 2, ldc);
  body += std::string("wmma.mma.sync.aligned.") + layout(a_rows) + layout(b_rows) + shape.name() +
          "." + types + " " + list("c", num_c) + ", " + list("a", num_a) + ", " + list("b", num_b) +
          ", " + list("c", num_c) + ";\nwmma.store.d.sync.aligned." + layout(c_rows) +
          shape.name() + ".global." + out + " [%arg2], " + list("c", num_c) + ", " +
          std::to_string(ldc) + ";\n";
  const std::string ab = wide ? ".f64" : ".b32";
  const std::string cd = wide ? ".f64" : out == "f32" ? ".f32" : ".b32";
  const std::string declarations = ".reg " + ab + " %a<9>, %b<9>;\n.reg " + cd + " %c<9>;\n";
  Device device;
  const std::size_t c_bytes = std::size_t{ldc} * 64 * (wide ? 8 : 4);
  const std::uint64_t c = device.upload(std::vector<std::uint8_t>(c_bytes));
  const LaunchResult result =
      device.run(kernel_text(3, declarations, body), {}, {device.upload(a), device.upload(b), c});
  REQUIRE(fault_of(result) == "");
  const auto bytes = device.download<std::uint8_t>(c, c_bytes);
  for (Index m = 0; m < M; ++m) {
    for (Index n = 0; n < N; ++n) {
      int expected = 0;
      for (Index k = 0; k < K; ++k) expected += a_values[m * K + k] * b_values[k * N + n];
      const Index at = c_rows ? m * ldc + n : n * ldc + m;
      double got = 0;
      if (wide) std::memcpy(&got, &bytes[at * 8], 8);
      float single = 0;
      std::int32_t integer = 0;
      if (!wide) std::memcpy(&single, &bytes[at * 4], 4);
      if (!wide) std::memcpy(&integer, &bytes[at * 4], 4);
      if (!wide) got = out == "f32" ? static_cast<double>(single) : integer;
      REQUIRE(got == expected);
    }
  }
}

}  // namespace

TEST_CASE("wmma multiplies in every shape and layout", "[ptx]") {
  const Kind kinds[] = {{"f16", "f32", 2}, {"bf16", "f32", 2}, {"s8", "s32", 1}};
  const Shape shapes[] = {{16, 16, 16}, {32, 8, 16}, {8, 32, 16}};
  for (const Kind& kind : kinds) {
    for (const Shape& shape : shapes) {
      for (int layouts = 0; layouts < 8; ++layouts) {
        check(kind, shape, (layouts & 1) != 0, (layouts & 2) != 0, (layouts & 4) != 0);
      }
    }
  }
  for (int layouts = 0; layouts < 8; ++layouts) {
    check({"tf32", "f32", 4}, {16, 16, 8}, (layouts & 1) != 0, (layouts & 2) != 0,
          (layouts & 4) != 0);
    check({"f64", "f64", 8}, {8, 8, 4}, (layouts & 1) != 0, (layouts & 2) != 0, (layouts & 4) != 0);
  }
}

}  // namespace ptx_emulator::testing
