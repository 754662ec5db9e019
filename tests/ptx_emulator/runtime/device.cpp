#include "tests/ptx_emulator/runtime/device.h"

#include <algorithm>
#include <cstdio>

#include "tests/ptx_emulator/machine/observer.h"
#include "tests/ptx_emulator/machine/occupancy.h"
#include "tests/ptx_emulator/runtime/runtime.h"

namespace ptx_emulator {

Device::Device(int index, const Settings& settings, DeviceMemory& host_memory)
    : index_(index),
      settings_(settings),
      properties_(device_properties(settings.device, index, settings.memory_bytes)),
      memory_(properties_.totalGlobalMem),
      legacy_(std::make_unique<Stream>()) {
  memory_.add_peer(host_memory);
  if (settings.machine.checks.uninitialised) watch_initialisation();
  legacy_->device = this;
  legacy_->legacy = true;
  streams.push_back(legacy_.get());
  limits[cudaLimitStackSize] = 1024;
  limits[cudaLimitPrintfFifoSize] = std::size_t{1} << 20;
  limits[cudaLimitMallocHeapSize] = settings.machine.device_malloc_bytes;
  limits[cudaLimitDevRuntimeSyncDepth] = 2;
  limits[cudaLimitDevRuntimePendingLaunchCount] = 2048;
  limits[cudaLimitMaxL2FetchGranularity] = 64;
}

std::uint32_t Device::architecture() const {
  return static_cast<std::uint32_t>(properties_.major * 10 + properties_.minor);
}

Machine& Device::machine() {
  if (!machine_) {
    MachineOptions options = settings_.machine;
    options.device_malloc_bytes = limits[cudaLimitMallocHeapSize];
    machine_ = std::make_unique<Machine>(memory_, options);
  }
  return *machine_;
}

int resident_blocks(const Device& device, const Code& code, int block_threads,
                    std::uint64_t dynamic_shared_bytes) {
  const cudaDeviceProp& p = device.properties();
  const std::uint64_t shared_bytes = code.static_shared_bytes + dynamic_shared_bytes;
  if (block_threads <= 0 || block_threads > p.maxThreadsPerBlock) return 0;
  if (shared_bytes > p.sharedMemPerBlockOptin) return 0;
  const Multiprocessor limits{
      .threads = static_cast<std::uint64_t>(p.maxThreadsPerMultiProcessor),
      .blocks = static_cast<std::uint64_t>(p.maxBlocksPerMultiProcessor),
      .registers = static_cast<std::uint64_t>(p.regsPerMultiprocessor),
      .shared_bytes = p.sharedMemPerMultiprocessor,
      .reserved_shared_bytes = p.reservedSharedMemPerBlock,
  };
  return static_cast<int>(
      resident_blocks(limits, code, static_cast<std::uint64_t>(block_threads), shared_bytes));
}

}  // namespace ptx_emulator
