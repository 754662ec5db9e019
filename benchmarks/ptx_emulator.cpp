// How many warp instructions a second the PTX emulator executes, on one thread and on two.
//   benchmark_ptx_emulator [kernel]
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "tests/ptx_emulator/machine/code.h"
#include "tests/ptx_emulator/machine/launch.h"
#include "tests/ptx_emulator/machine/tensor/benchmark_kernel.h"
#include "tests/ptx_emulator/ptx/parser.h"

namespace {

using namespace ptx_emulator;

constexpr std::uint32_t kElements = 1u << 20;
constexpr int kRepetitions = 7;

struct Case {
  std::string kernel;
  Dimensions grid, block;
  std::vector<std::uint64_t> parameters;  // in order; each is cut to its size
};

std::uint64_t bits_of_float(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

struct Rate {
  double instructions_per_second = 0;
  double launches_per_second = 0;
};

// The best of several launches: others may use the machine meanwhile.
Rate measure(DeviceMemory& memory, const Program& program, const Case& test,
             std::uint32_t threads) {
  MachineOptions options;
  options.num_threads = threads;
  Machine machine(memory, options);
  Launch launch;
  launch.program = &program;
  launch.kernel = program.function(test.kernel);
  launch.grid = test.grid;
  launch.block = test.block;
  launch.parameters.resize(launch.kernel->parameter_bytes);
  for (std::size_t i = 0; i < test.parameters.size(); ++i) {
    const Code::Parameter& parameter = launch.kernel->parameters.at(i);
    std::memcpy(launch.parameters.data() + parameter.offset, &test.parameters[i], parameter.bytes);
  }
  Rate best;
  for (int i = 0; i < kRepetitions; ++i) {
    const LaunchResult result = machine.run(launch);
    if (result.fault) {
      std::fprintf(stderr, "%s\n", result.fault->text().c_str());
      return {};
    }
    best.instructions_per_second =
        std::max(best.instructions_per_second,
                 static_cast<double>(result.warp_instructions) / result.seconds);
    best.launches_per_second = std::max(best.launches_per_second, 1 / result.seconds);
  }
  return best;
}

std::string read_text(const char* path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::uint64_t buffer(DeviceMemory& memory) {
  const Allocation* allocation = memory.allocate(kElements * 4, MemoryKind::kDevice, "benchmark");
  std::memset(memory.host_pointer(allocation->begin, kElements * 4), 0, kElements * 4);
  return allocation->begin;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string only = argc > 1 ? argv[1] : "";
  DeviceMemory memory(std::uint64_t{1} << 30);
  const Program program(ptx::parse(read_text(PTX_EMULATOR_BENCHMARK_KERNELS), "kernels"), memory);
  const Program products(ptx::parse(product_kernel("bf16"), "products"), memory);
  const std::uint64_t a = buffer(memory), b = buffer(memory), c = buffer(memory),
                      d = buffer(memory);
  constexpr std::uint32_t kChannels = 768;
  const std::vector<Case> cases = {
      {"fma_loop", {16}, {256}, {a, 2000, bits_of_float(0.5f), bits_of_float(1.0f)}},
      {"saxpy", {kElements / 256}, {256}, {a, b, bits_of_float(2.0f), kElements}},
      {"reduce", {64}, {256}, {c, a, kElements}},
      {"addresses", {16}, {256}, {c, a, 1000, kElements - 1}},
      {"layernorm", {128}, {256}, {b, a, c, d, kChannels}},
  };
  std::printf("%-12s %10s %10s %8s   M warp instructions / s\n", "kernel", "1 thread", "2 threads",
              "ratio");
  for (const Case& test : cases) {
    if (!only.empty() && only != test.kernel) continue;
    const double one = measure(memory, program, test, 1).instructions_per_second / 1e6;
    const double two = measure(memory, program, test, 2).instructions_per_second / 1e6;
    std::printf("%-12s %10.1f %10.1f %8.2f\n", test.kernel.c_str(), one, two, two / one);
  }
  if (only.empty() || only == "products") {
    const Case test{"products", {8}, {256}, {2000, a}};
    const double flops = 8.0 * 8 * 2000 * kProductsPerRound * kProductFlops;
    const double one = measure(memory, products, test, 1).launches_per_second * flops / 1e9;
    const double two = measure(memory, products, test, 2).launches_per_second * flops / 1e9;
    std::printf("%-12s %10.1f %10.1f %8.2f   GFLOP/s, mma bf16\n", "products", one, two, two / one);
  }
  if (only.empty() || only == "wgmma") {
    const Program groups(ptx::parse(group_product_kernel(), "groups"), memory);
    const Case test{"products", {8}, {128}, {50, a}};
    const double flops = 8.0 * 50 * kGroupProducts * kGroupProductFlops;
    const double one = measure(memory, groups, test, 1).launches_per_second * flops / 1e9;
    const double two = measure(memory, groups, test, 2).launches_per_second * flops / 1e9;
    std::printf("%-12s %10.1f %10.1f %8.2f   GFLOP/s, wgmma bf16\n", "wgmma", one, two, two / one);
  }
  return 0;
}
