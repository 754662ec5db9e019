#pragma once
// How many blocks a multiprocessor of the device played holds at once: one answer for the runtime's
// occupancy functions and for the counters.

#include <cstdint>

#include "tests/ptx_emulator/machine/code.h"

namespace ptx_emulator {

// Limits of one multiprocessor. Source: CUDA C++ programming guide, compute capabilities.
struct Multiprocessor {
  std::uint64_t threads = 2048;
  std::uint64_t blocks = 32;
  std::uint64_t registers = 65536;  // of 4 bytes
  std::uint64_t shared_bytes = 0;
  std::uint64_t reserved_shared_bytes = 1024;  // of each block, by the system
};

// The device that is played. Source: NVIDIA's white papers of the A100 and H100 architectures.
struct DeviceLimits {
  std::uint32_t multiprocessors = 0;
  Multiprocessor each;
};
DeviceLimits device_limits(std::uint32_t architecture);

// Registers of a thread as the compiler would bound them; an estimate, for PTX has none.
std::uint32_t registers_estimate(const Code& code);

// Blocks of `threads` threads and `shared_bytes` bytes (static and dynamic); 0 where one does not
// fit.
std::uint64_t resident_blocks(const Multiprocessor& limits, const Code& code, std::uint64_t threads,
                              std::uint64_t shared_bytes);

}  // namespace ptx_emulator
