#pragma once
// Runs kernels from PTX text on a machine of the test's own.

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "tests/ptx_emulator/machine/code.h"
#include "tests/ptx_emulator/machine/launch.h"
#include "tests/ptx_emulator/ptx/parser.h"

namespace ptx_emulator::testing {

inline std::string ptx_module(const std::string& body, const std::string& target = "sm_80") {
  return ".version 9.0\n.target " + target + "\n.address_size 64\n" + body;
}

// A program in device memory, and a machine to run its kernels.
class Bench {
 public:
  explicit Bench(const std::string& body, MachineOptions options = single_thread())
      : memory(std::uint64_t{1} << 32),
        program(ptx::parse(ptx_module(body), "test"), memory),
        machine(memory, options) {}

  static MachineOptions single_thread() {
    MachineOptions options;
    options.num_threads = 1;
    return options;
  }

  template <typename T>
  std::uint64_t upload(const std::vector<T>& values, const char* label = "test buffer") {
    const Allocation* allocation =
        memory.allocate(values.size() * sizeof(T), MemoryKind::kDevice, label);
    std::memcpy(memory.host_pointer(allocation->begin, values.size() * sizeof(T)), values.data(),
                values.size() * sizeof(T));
    return allocation->begin;
  }
  template <typename T>
  std::vector<T> download(std::uint64_t address, std::size_t count) {
    std::vector<T> values(count);
    std::memcpy(values.data(), memory.host_pointer(address, count * sizeof(T)), count * sizeof(T));
    return values;
  }

  template <typename... Parameters>
  Launch launch(const std::string& kernel, Dimensions grid, Dimensions block,
                Parameters... parameters) {
    Launch result;
    result.program = &program;
    result.kernel = program.function(kernel);
    result.grid = grid;
    result.block = block;
    result.parameters.resize(result.kernel->parameter_bytes);
    std::size_t i = 0;
    const auto add = [&](const auto& value) {
      std::memcpy(result.parameters.data() + result.kernel->parameters.at(i++).offset, &value,
                  sizeof value);
    };
    (add(parameters), ...);
    return result;
  }
  template <typename... Parameters>
  LaunchResult run(const std::string& kernel, Dimensions grid, Dimensions block,
                   Parameters... parameters) {
    return machine.run(launch(kernel, grid, block, parameters...));
  }

  DeviceMemory memory;
  Program program;
  Machine machine;
};

}  // namespace ptx_emulator::testing
