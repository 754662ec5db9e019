#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "src/core/file.h"

namespace ovid::memory {

// What the machine and the control groups leave to this process.
struct MachineMemory {
  std::uint64_t total = 0;      // of the machine, bytes
  std::uint64_t available = 0;  // to this process: by the kernel's estimate and the tightest group
  std::optional<std::uint64_t> group_limit;  // of that group; nothing: none has a limit
};

// Reads /proc and /sys below `root`, so that a test can show it another machine. Control groups of
// version 2 and 1, from the mount's root down to this process's group; their file caches count as
// available: they are given up when memory is short. Nothing where the system does not say.
std::optional<MachineMemory> machine_memory(const Path& root = "/");

// What this process may still take; 0 where unknown.
std::size_t available_memory();

}  // namespace ovid::memory
