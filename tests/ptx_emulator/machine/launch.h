#pragma once
// Runs a kernel's grid to its end.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tests/ptx_emulator/machine/code.h"
#include "tests/ptx_emulator/machine/device_memory.h"
#include "tests/ptx_emulator/machine/fault.h"

namespace ptx_emulator {

struct Dimensions {
  std::uint32_t x = 1, y = 1, z = 1;
  std::uint64_t count() const { return std::uint64_t{x} * y * z; }
};

// Which checks are on. All are by default but the two that cost much.
struct Checks {
  bool memory = true;           // bounds, alignment, use after free
  bool synchronisation = true;  // divergent barriers, invalid masks
  bool shared_races = false;
  bool global_races = false;
  bool uninitialised = false;
};

struct MachineOptions {
  std::uint32_t architecture = 80;  // the device played: 80, 90, ...
  std::uint64_t seed = 0;           // order of blocks and warps; 0: ascending
  std::uint32_t num_threads = 0;    // 0: one for each core
  Checks checks;
  bool counters = false;
  double watchdog_seconds = 0;  // a launch that lasts longer is an endless loop; 0: no limit
  std::uint64_t watchdog_instructions = 0;       // of one warp; 0: no limit
  std::uint64_t device_malloc_bytes = 8u << 20;  // heap of malloc() on the device
  std::uint32_t max_faults = 1;  // non-fatal reports (races, uninitialised reads) kept per launch
};

struct Launch {
  const Program* program = nullptr;
  const Code* kernel = nullptr;
  Dimensions grid, block, cluster;
  std::uint32_t dynamic_shared_bytes = 0;
  std::vector<std::byte> parameters;  // laid out as Code::parameters says
  bool cooperative = false;           // all blocks are resident at once; grid.sync() works
  std::uint64_t number = 0;           // of this launch in the process
};

class Counters;  // machine/counters.h

// What became of a launch. A fatal fault leaves the device unusable, as on hardware.
struct LaunchResult {
  std::optional<Fault> fault;  // the one that ended the launch
  std::vector<Fault> reports;  // what the checks found without ending it
  std::uint64_t warp_instructions = 0;
  double seconds = 0;
  std::shared_ptr<Counters> counters;  // where MachineOptions::counters is set
};

class Machine {
 public:
  Machine(DeviceMemory& memory, MachineOptions options);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // Runs the grid on the machine's threads and returns when it has ended. Not reentrant. Everything
  // that device code prints goes to standard output, in one write per printf.
  LaunchResult run(const Launch& launch);
  const MachineOptions& options() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ptx_emulator
