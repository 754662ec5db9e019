#pragma once
// Whole kernels of PTX text on a machine of their own, without the runtime.

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/ptx_emulator/machine/code.h"
#include "tests/ptx_emulator/machine/device_memory.h"
#include "tests/ptx_emulator/machine/launch.h"
#include "tests/ptx_emulator/ptx/parser.h"

namespace ptx_emulator::testing {

struct Geometry {
  Dimensions grid, block{32, 1, 1}, cluster;
  std::uint32_t dynamic_shared_bytes = 0;
};

// Device memory and a machine. Kernels take 64-bit parameters only.
class Device {
 public:
  template <typename T>
  std::uint64_t upload(const std::vector<T>& values) {
    const Allocation* allocation =
        memory_.allocate(values.size() * sizeof(T), MemoryKind::kDevice, "test data");
    std::memcpy(memory_.host_pointer(allocation->begin, values.size() * sizeof(T)), values.data(),
                values.size() * sizeof(T));
    return allocation->begin;
  }
  template <typename T>
  std::vector<T> download(std::uint64_t address, std::size_t count) {
    std::vector<T> values(count);
    std::memcpy(values.data(), memory_.host_pointer(address, count * sizeof(T)), count * sizeof(T));
    return values;
  }

  // Runs the first entry of the module.
  LaunchResult run(const std::string& text, const Geometry& geometry,
                   const std::vector<std::uint64_t>& arguments) {
    const Program program(ptx::parse(text, "test"), memory_);
    const Code* kernel = nullptr;
    for (const Code* code : program.functions()) {
      if (code->function->is_entry) kernel = code;
    }
    if (kernel == nullptr) throw std::logic_error("the text has no entry");
    if (!kernel->unsupported.empty()) throw std::logic_error(kernel->unsupported.front());
    Launch launch;
    launch.program = &program;
    launch.kernel = kernel;
    launch.grid = geometry.grid;
    launch.block = geometry.block;
    launch.cluster = geometry.cluster;
    launch.dynamic_shared_bytes = geometry.dynamic_shared_bytes;
    launch.parameters.resize(arguments.size() * 8);
    if (!arguments.empty())
      std::memcpy(launch.parameters.data(), arguments.data(), arguments.size() * 8);
    MachineOptions options;
    options.architecture = 90;
    options.num_threads = 1;
    options.watchdog_seconds = 10;
    Machine machine(memory_, options);
    return machine.run(launch);
  }

 private:
  DeviceMemory memory_{std::uint64_t{1} << 26};
};

// A kernel of one entry `k` with parameters p0, p1, ... loaded into %p0... as %arg0, %arg1, ...
inline std::string kernel_text(std::size_t num_parameters, const std::string& declarations,
                               const std::string& body) {
  std::string text = ".version 8.6\n.target sm_90a\n.address_size 64\n.visible .entry k(";
  for (std::size_t i = 0; i < num_parameters; ++i) {
    text += (i == 0 ? "" : ", ") + std::string(".param .u64 p") + std::to_string(i);
  }
  text += ")\n{\n.reg .b64 %arg<" + std::to_string(num_parameters + 1) + ">;\n" + declarations;
  for (std::size_t i = 0; i < num_parameters; ++i) {
    text += "ld.param.u64 %arg" + std::to_string(i) + ", [p" + std::to_string(i) + "];\n";
  }
  return text + body + "ret;\n}\n";
}

// The message of the fault that ended a launch, empty where it ran to its end.
inline std::string fault_of(const LaunchResult& result) {
  return result.fault ? result.fault->text() : "";
}

}  // namespace ptx_emulator::testing
