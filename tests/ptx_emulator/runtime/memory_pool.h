#pragma once
// Pools of stream-ordered memory. Memory goes back to the device when the stream frees it; a pool
// holds figures only.

#include <cstdint>
#include <unordered_map>

#include "tests/ptx_emulator/runtime/cuda_api.h"

namespace ptx_emulator {

class Device;

struct MemoryPool {
  Device* device = nullptr;
  bool is_default = false;
  std::uint64_t release_threshold = 0;
  int reuse_event_dependencies = 1, reuse_opportunistic = 1, reuse_internal = 1;
  std::uint64_t used_high = 0, used = 0;
};

}  // namespace ptx_emulator
