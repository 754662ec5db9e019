#pragma once
// Blocks, clusters and the grid while a kernel runs.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "tests/ptx_emulator/machine/async.h"
#include "tests/ptx_emulator/machine/code.h"
#include "tests/ptx_emulator/machine/device_memory.h"
#include "tests/ptx_emulator/machine/launch.h"
#include "tests/ptx_emulator/machine/observer.h"
#include "tests/ptx_emulator/machine/warp.h"

namespace ptx_emulator {

// Generic addresses of the kernel's parameters (cvta.param).
inline constexpr std::uint64_t kParameterWindow = 0x0000'7200'0000'0000u;
// "Addresses" of functions: what a function pointer holds.
inline constexpr std::uint64_t kFunctionWindow = 0x0000'7300'0000'0000u;
inline constexpr std::uint32_t kNumBarriers = 16;

class DeviceHeap;  // machine/device_heap.h: malloc and free of device code

// What all blocks of a launch share; read-only but for the atomics.
struct Grid {
  const Launch* launch = nullptr;
  const MachineOptions* options = nullptr;
  DeviceMemory* memory = nullptr;
  DeviceHeap* heap = nullptr;
  std::uint64_t num_blocks = 0;
  std::uint32_t threads_per_block = 0;
  std::uint32_t warps_per_block = 0;
  std::uint32_t cluster_blocks = 1;
  std::uint32_t shared_bytes = 0;              // a block: static and dynamic
  std::uint64_t local_bytes = 0;               // a thread, distance of two lanes' local memory
  std::uint64_t register_bytes = 0;            // a warp: frames of all calls
  std::vector<std::uint32_t> thread_index[3];  // tid.x, .y, .z of each thread of a block
  std::vector<std::byte> parameters;           // of the launch, 16 bytes of slack
  std::uint64_t grid_workspace = 0;  // device address for grid.sync(); 0 where not cooperative
  std::atomic<bool> stop{false};     // a fault elsewhere: leave at once
  std::atomic<std::uint64_t> progress{0};  // blocks ended
};

// One named barrier of a block.
struct Barrier {
  std::uint32_t expected = 0;  // threads; 0: all of the block that have not exited
  std::uint32_t arrived = 0;   // threads
  std::uint32_t warps = 0;     // bit for each warp of which some lane has arrived
  bool in_use = false;
  // Of bar.red: so far, and of the last phase that ended.
  std::uint32_t count = 0, last_count = 0;
  bool all = true, last_all = true;
  bool any = false, last_any = false;
};

struct Cluster {
  std::vector<Block*> blocks;  // by rank
  std::uint32_t arrived = 0;   // threads at barrier.cluster, this phase
  std::uint64_t phase = 0;
};

// Memory that kernels lately touched: bounds are checked against it before the allocation is looked
// up.
struct AllocationCache {
  struct Entry {
    std::uint64_t begin = 1, end = 0;  // device addresses
    std::ptrdiff_t to_host = 0;
    bool read_only = false;
  };
  std::array<Entry, 4> entries;
  std::uint32_t next = 0;
};

struct Block {
  Grid* grid = nullptr;
  Cluster* cluster = nullptr;  // always set; of one block where the launch has no clusters
  Observer* observer = nullptr;
  std::uint64_t linear = 0;
  std::uint32_t index[3] = {0, 0, 0};
  std::uint32_t rank = 0;  // in the cluster
  std::byte* shared = nullptr;
  std::byte* reserved_shared = nullptr;  // kReservedSharedBytes
  std::uint32_t shared_bytes = 0;
  std::uint32_t live_warps = 0;
  std::uint32_t live_threads = 0;
  std::uint32_t worker = 0;  // %smid
  std::array<Barrier, kNumBarriers> barriers;
  std::vector<Warp> warps;
  std::unique_ptr<BlockAsync> async;
  AllocationCache cache;
};

// The block's record, made on first use.
inline BlockAsync& async_of(Block& block) {
  if (!block.async) block.async = std::make_unique<BlockAsync>();
  return *block.async;
}

}  // namespace ptx_emulator
