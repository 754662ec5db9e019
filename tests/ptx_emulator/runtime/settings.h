#pragma once
// What the environment asks of the emulator (the variables PTX_EMULATOR_...; the README lists
// them).

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/ptx_emulator/machine/launch.h"

namespace ptx_emulator {

enum class DeviceName : std::uint8_t { kA100, kH100 };

struct Settings {
  DeviceName device = DeviceName::kA100;
  int num_devices = 1;
  std::uint64_t memory_bytes = 0;  // of each device; 0: what the device played has
  MachineOptions machine;
  // Empty: no counters. JSON where the name ends in .json, else a text; "-": the text to standard
  // error.
  std::string counters_file;
  // Bytes that a launch of a kernel would move at best, by the kernel's name.
  std::vector<std::pair<std::string, std::uint64_t>> ideal_bytes;
  std::string summary_file;  // where the number of reports is written when the process ends
  bool list_unsupported = false;
  bool report_leaks = false;
  bool eager = false;  // work runs when it is queued
};

// Reads the environment. A value that cannot be understood ends the process with a message and
// status 2: going on would check something else than was asked for.
Settings read_settings();

}  // namespace ptx_emulator
