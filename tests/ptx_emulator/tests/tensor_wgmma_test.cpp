// wgmma: operands in shared memory by every layout, delivery at the wait, and the faults of
// forgotten instructions.
#include <cmath>
#include <random>

#include "tests/catch.h"
#include "tests/ptx_emulator/tests/tensor_harness.h"

namespace ptx_emulator::testing {
namespace {

using Words = std::vector<std::uint32_t>;
using Index = std::uint32_t;

constexpr Index kTileBytes = 65536;  // A in the first half of shared memory, B in the second

// A matrix of bf16 in shared memory: `rows` (M or N) by K, and its descriptor.
struct Tile {
  Index rows, K, span;  // span: bytes of the swizzle, 0 for none
  bool mn_major;
  // Byte of element (row, k), from a picture of the layout: lines of `span` bytes whose units are
  // exchanged.
  Index byte(Index row, Index k) const {
    const Index major = mn_major ? row : k;  // runs along a line
    const Index minor = mn_major ? k : row;  // counts lines
    if (span == 0) {
      // 8 x 16-byte core matrices, one after the other along the contiguous index, then along the
      // other.
      const Index across = mn_major ? rows / 8 : K / 8;
      return (minor / 8 * across + major / 8) * 128 + minor % 8 * 16 + major % 8 * 2;
    }
    const Index per_line = span / 2;
    const Index blocks_of_lines = (mn_major ? K : rows) / 8;
    // Panels of `span` bytes in width stand one after the other.
    const Index line = major / per_line * blocks_of_lines * 8 + minor;
    const Index start = line * span;
    const Index unit = start / 16 + major % per_line / 8;
    const Index exchanged = unit ^ (unit / 8 % (span / 16));
    return exchanged * 16 + major % 8 * 2;
  }
  std::uint64_t descriptor(Index base, Index first_k) const {
    Index start = base;
    Index leading = 0;
    Index stride = 0;
    if (!mn_major && span == 0) {
      leading = 128;
      stride = K / 8 * 128;
      start += first_k / 8 * 128;
    } else if (!mn_major) {
      stride = 8 * span;
      start += first_k * 2 / span * rows * span + first_k * 2 % span;
    } else if (span == 0) {
      stride = 128;
      leading = rows / 8 * 128;
      start += first_k / 8 * leading;
    } else {
      stride = 8 * span;
      leading = K * span;
      start += first_k * span;
    }
    const std::uint64_t mode = span == 0 ? 0 : span == 128 ? 1 : span == 64 ? 2 : 3;
    return (start >> 4) | std::uint64_t{leading >> 4} << 16 | std::uint64_t{stride >> 4} << 32 |
           mode << 62;
  }
};

float bf16(std::uint16_t bits) {
  return __builtin_bit_cast(float, std::uint32_t{bits} << 16);
}
std::uint16_t random_bf16(std::mt19937& random) {
  const float value = static_cast<float>(static_cast<int>(random() % 65) - 32) / 8;
  return static_cast<std::uint16_t>(__builtin_bit_cast(std::uint32_t, value) >> 16);
}

std::string registers(const std::string& name, Index count) {
  std::string text = "{";
  for (Index i = 0; i < count; ++i) text += (i == 0 ? "" : ", ") + ("%" + name) + std::to_string(i);
  return text + "}";
}

const char* const kDeclarations =
    ".shared .align 1024 .b8 tile[131072];\n.reg .pred %more, %on;\n"
    ".reg .b32 %thread, %s, %i, %x, %a<4>;\n.reg .b64 %at, %from, %da, %db;\n.reg .f32 %d<128>;\n";
// Copies arg0's image to shared memory, loads the descriptors from arg1, zeroes accumulators.
std::string setup(Index accumulators) {
  std::string text =
      "mov.u32 %thread, %tid.x;\nmov.u32 %s, tile;\nshl.b32 %i, %thread, 2;\n"
      "COPY:\ncvt.u64.u32 %at, %i;\nadd.u64 %from, %arg0, %at;\nld.global.u32 %x, [%from];\n"
      "add.u32 %a0, %s, %i;\nst.shared.u32 [%a0], %x;\nadd.u32 %i, %i, 512;\n"
      "setp.lt.u32 %more, %i, 131072;\n@%more bra COPY;\nfence.proxy.async;\nbar.sync 0;\n"
      "setp.eq.u32 %on, 0, 0;\n";
  for (Index i = 0; i < accumulators; ++i) {
    text += "mov.f32 %d" + std::to_string(i) + ", 0f3F800000;\n";
  }
  return text;
}
std::string store(Index accumulators) {
  std::string text = "mul.wide.u32 %at, %thread, " + std::to_string(4 * accumulators) +
                     ";\nadd.u64 %at, %at, %arg2;\n";
  for (Index i = 0; i < accumulators; ++i) {
    text += "st.global.f32 [%at+" + std::to_string(4 * i) + "], %d" + std::to_string(i) + ";\n";
  }
  return text;
}

struct Problem {
  Tile a, b;
  std::vector<std::uint16_t> a_values, b_values;  // (64, K), (N, K)
  std::vector<std::uint8_t> image = std::vector<std::uint8_t>(2 * kTileBytes);
  std::vector<std::uint64_t> descriptors;  // a, b for each 16 of k

  Problem(Tile a_tile, Tile b_tile) : a(a_tile), b(b_tile) {
    std::mt19937 random(5);
    const auto fill = [&](const Tile& tile, Index base, std::vector<std::uint16_t>& values) {
      values.resize(tile.rows * tile.K);
      for (Index row = 0; row < tile.rows; ++row) {
        for (Index k = 0; k < tile.K; ++k) {
          values[row * tile.K + k] = random_bf16(random);
          std::memcpy(&image[base + tile.byte(row, k)], &values[row * tile.K + k], 2);
        }
      }
    };
    fill(a, 0, a_values);
    fill(b, kTileBytes, b_values);
    for (Index k = 0; k < a.K; k += 16) {
      descriptors.push_back(a.descriptor(0, k));
      descriptors.push_back(b.descriptor(kTileBytes, k));
    }
  }
  // 1 + A B: exact in f32.
  float expected(Index row, Index column) const {
    float sum = 1;
    for (Index k = 0; k < a.K; ++k)
      sum += bf16(a_values[row * a.K + k]) * bf16(b_values[column * a.K + k]);
    return sum;
  }
};

// All products of a problem in one group. The tile lies at shared offset 0.
std::string products(const Problem& problem, const std::string& operand_a = "") {
  const Index count = problem.b.rows / 2;
  std::string text;
  for (Index step = 0; step < problem.a.K / 16; ++step) {
    text += "ld.global.b64 %da, [%arg1+" + std::to_string(16 * step) +
            "];\nld.global.b64 %db, [%arg1+" + std::to_string(16 * step + 8) +
            "];\nwgmma.mma_async.sync.aligned.m64n" + std::to_string(problem.b.rows) +
            "k16.f32.bf16.bf16 " + registers("d", count) + ", " +
            (operand_a.empty() ? "%da" : operand_a) + ", %db, %on, 1, 1" +
            (operand_a.empty() ? (problem.a.mn_major ? ", 1" : ", 0") : "") +
            (problem.b.mn_major ? ", 1;\n" : ", 0;\n");
  }
  return text;
}

struct Outcome {
  std::string fault;
  std::vector<float> values;  // by thread
};
Outcome run(const Problem& problem, const std::string& body) {
  const Index count = problem.b.rows / 2;
  Device device;
  const std::uint64_t out = device.upload(std::vector<float>(128 * count));
  const LaunchResult result = device.run(
      kernel_text(3, kDeclarations, setup(count) + body + store(count)), {.block = {128, 1, 1}},
      {device.upload(problem.image), device.upload(problem.descriptors), out});
  return {fault_of(result), device.download<float>(out, 128 * count)};
}

void check(const Problem& problem, const Outcome& outcome) {
  REQUIRE(outcome.fault == "");
  const Index count = problem.b.rows / 2;
  for (Index thread = 0; thread < 128; ++thread) {
    for (Index i = 0; i < count; ++i) {
      // The manual: rows 16 to a warp, lane / 4 and that plus 8; columns 8 to four registers.
      const Index row = thread / 32 * 16 + thread % 32 / 4 + 8 * (i / 2 % 2);
      const Index column = 8 * (i / 4) + 2 * (thread % 4) + i % 2;
      INFO("row " << row << " column " << column);
      REQUIRE(outcome.values[thread * count + i] == problem.expected(row, column));
    }
  }
}

const std::string kFence = "wgmma.fence.sync.aligned;\n";
const std::string kWait = "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n";

}  // namespace

TEST_CASE("wgmma reads every swizzle, K-major and MN-major", "[ptx]") {
  for (const Index span : {0u, 32u, 64u, 128u}) {
    for (const bool a_mn : {false, true}) {
      for (const bool b_mn : {false, true}) {
        INFO("span " << span << " A MN-major " << a_mn << " B MN-major " << b_mn);
        const Problem problem({64, 64, span, a_mn}, {64, 64, span, b_mn});
        check(problem, run(problem, kFence + products(problem) + kWait));
      }
    }
  }
}

TEST_CASE("wgmma takes wide and narrow tiles", "[ptx]") {
  for (const Index columns : {8u, 24u, 256u}) {
    const Problem problem({64, 32, 64, false}, {columns, 32, 64, false});
    check(problem, run(problem, kFence + products(problem) + kWait));
  }
}

TEST_CASE("wgmma takes A from registers as they were at the instruction", "[ptx]") {
  Problem problem({64, 16, 32, false}, {16, 16, 32, false});
  // Lane (g, t) holds rows g and g + 8, columns 2 t and 2 t + 8: loaded from arg0's image of A row
  // by row.
  for (Index row = 0; row < 64; ++row) {
    for (Index k = 0; k < 16; ++k) {
      std::memcpy(&problem.image[(row * 16 + k) * 2], &problem.a_values[row * 16 + k], 2);
    }
  }
  const std::string load =
      "shr.u32 %i, %thread, 5;\nshl.b32 %i, %i, 9;\nand.b32 %x, %thread, 31;\nshr.u32 %x, %x, 2;\n"
      "shl.b32 %x, %x, 5;\nadd.u32 %i, %i, %x;\nand.b32 %x, %thread, 3;\nshl.b32 %x, %x, 2;\n"
      "add.u32 %i, %i, %x;\ncvt.u64.u32 %at, %i;\nadd.u64 %at, %at, %arg0;\n"
      "ld.global.b32 %a0, [%at];\nld.global.b32 %a1, [%at+256];\nld.global.b32 %a2, [%at+16];\n"
      "ld.global.b32 %a3, [%at+272];\n";
  const std::string change = "mov.b32 %a0, 0;\nmov.b32 %a3, 0;\n";
  check(problem,
        run(problem, load + kFence + products(problem, "{%a0, %a1, %a2, %a3}") + change + kWait));
}

TEST_CASE("accumulators of wgmma come at wait_group, and not before", "[ptx]") {
  const Problem problem({64, 16, 32, false}, {8, 16, 32, false});
  REQUIRE_THAT(run(problem, kFence + products(problem) +
                                "wgmma.commit_group.sync.aligned;\nmov.f32 %d4, %d1;\n"
                                "wgmma.wait_group.sync.aligned 0;\n")
                   .fault,
               Catch::Contains("reads accumulator 1") && Catch::Contains("mov.f32"));
  REQUIRE_THAT(run(problem, kFence + products(problem) +
                                "wgmma.commit_group.sync.aligned;\nmov.f32 %d1, 0f00000000;\n"
                                "wgmma.wait_group.sync.aligned 0;\n")
                   .fault,
               Catch::Contains("before wgmma.wait_group"));
  REQUIRE_THAT(
      run(problem, kFence + products(problem) + "wgmma.commit_group.sync.aligned;\nret;\n").fault,
      Catch::Contains("wait_group is missing"));
  REQUIRE_THAT(run(problem, products(problem) + kWait).fault, Catch::Contains("wgmma.fence"));
  // Once fenced, the same accumulators go on without; changed ones do not.
  REQUIRE(run(problem, kFence + products(problem) + kWait + products(problem) + kWait).fault == "");
  REQUIRE_THAT(run(problem, kFence + products(problem) + kWait + "mov.f32 %d1, 0f40000000;\n" +
                                products(problem) + kWait)
                   .fault,
               Catch::Contains("wgmma.fence"));
}

}  // namespace ptx_emulator::testing
