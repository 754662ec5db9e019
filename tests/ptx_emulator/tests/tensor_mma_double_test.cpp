// mma.sync of doubles: fragments by the manual's formulas, sums against scalar loops.
#include <cmath>
#include <random>

#include "tests/catch.h"
#include "tests/ptx_emulator/tests/tensor_harness.h"

namespace ptx_emulator::testing {
namespace {

using Index = std::uint32_t;

// Rows of A and of C repeat after eight lanes' groups; K runs over the four lanes of a group.
struct Shape {
  const char* name;
  Index M, K;
};

std::string list(const char* name, Index count) {
  std::string text = "{";
  for (Index i = 0; i < count; ++i) text += (i == 0 ? "%" : ", %") + (name + std::to_string(i));
  return text + "}";
}

std::vector<double> run(const Shape& shape, const std::vector<double>& a,
                        const std::vector<double>& b, const std::vector<double>& c) {
  const Index counts[] = {static_cast<Index>(a.size() / 32), static_cast<Index>(b.size() / 32),
                          static_cast<Index>(c.size() / 32)};
  const char* names[] = {"a", "b", "c"};
  std::string body = "mov.u32 %lane, %laneid;\nmul.wide.u32 %offset, %lane, 8;\n";
  for (Index operand = 0; operand < 3; ++operand) {
    body += "add.u64 %at, %arg" + std::to_string(operand) + ", %offset;\n";
    for (Index i = 0; i < counts[operand]; ++i) {
      body += "ld.global.f64 %" + (names[operand] + std::to_string(i)) + ", [%at+" +
              std::to_string(256 * i) + "];\n";
    }
  }
  body += std::string("mma.sync.aligned.") + shape.name + ".row.col.f64.f64.f64.f64 " +
          list("d", counts[2]) + ", " + list("a", counts[0]) + ", " + list("b", counts[1]) + ", " +
          list("c", counts[2]) + ";\nadd.u64 %at, %arg3, %offset;\n";
  for (Index i = 0; i < counts[2]; ++i) {
    body += "st.global.f64 [%at+" + std::to_string(256 * i) + "], %d" + std::to_string(i) + ";\n";
  }
  Device device;
  const std::uint64_t out = device.upload(std::vector<double>(c.size()));
  const LaunchResult result =
      device.run(kernel_text(4,
                             ".reg .b32 %lane;\n.reg .b64 %offset, %at;\n"
                             ".reg .f64 %a<9>, %b<9>, %c<9>, %d<9>;\n",
                             body),
                 {}, {device.upload(a), device.upload(b), device.upload(c), out});
  REQUIRE(fault_of(result) == "");
  return device.download<double>(out, c.size());
}

}  // namespace

TEST_CASE("mma of doubles multiplies in every shape", "[ptx]") {
  for (const Shape& shape : {Shape{"m8n8k4", 8, 4}, Shape{"m16n8k4", 16, 4},
                             Shape{"m16n8k8", 16, 8}, Shape{"m16n8k16", 16, 16}}) {
    INFO(shape.name);
    std::mt19937 random(11);
    std::uniform_real_distribution<double> uniform(-8, 8);
    std::vector<double> A(shape.M * shape.K), B(shape.K * 8), C(shape.M * 8);
    for (auto* matrix : {&A, &B, &C}) {
      for (double& value : *matrix) value = uniform(random);
    }
    // A quantity below half a unit of f32 shows products that were not made in double.
    A[0] = 1 + 0x1p-40;
    const Index halves = shape.M / 8;
    std::vector<double> a(shape.M * shape.K), b(shape.K * 8), c(shape.M * 8);
    for (Index lane = 0; lane < 32; ++lane) {
      const Index group = lane / 4, within = lane % 4;
      for (Index i = 0; i < a.size() / 32; ++i) {
        a[32 * i + lane] = A[(group + 8 * (i % halves)) * shape.K + within + 4 * (i / halves)];
      }
      for (Index i = 0; i < b.size() / 32; ++i) b[32 * i + lane] = B[(within + 4 * i) * 8 + group];
      for (Index i = 0; i < c.size() / 32; ++i) {
        c[32 * i + lane] = C[(group + 8 * (i / 2)) * 8 + 2 * within + i % 2];
      }
    }
    const std::vector<double> d = run(shape, a, b, c);
    for (Index lane = 0; lane < 32; ++lane) {
      for (Index i = 0; i < c.size() / 32; ++i) {
        const Index row = lane / 4 + 8 * (i / 2), column = 2 * (lane % 4) + i % 2;
        double sum = C[row * 8 + column], size = std::fabs(sum);
        for (Index k = 0; k < shape.K; ++k) {
          const double product = A[row * shape.K + k] * B[k * 8 + column];
          sum += product;
          size += std::fabs(product);
        }
        INFO("row " << row << " column " << column);
        // Any order of K + 1 roundings.
        REQUIRE(std::fabs(d[32 * i + lane] - sum) <= 2 * (shape.K + 1) * 0x1p-53 * size);
      }
    }
  }
}

}  // namespace ptx_emulator::testing
