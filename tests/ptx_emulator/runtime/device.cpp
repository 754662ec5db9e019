#include "tests/ptx_emulator/runtime/device.h"

#include <algorithm>
#include <cstdio>

#include "tests/ptx_emulator/machine/observer.h"
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

int registers_estimate(const Code& code) {
  // The compiler keeps to what the largest block allows: 65,536 registers, handed out to warps by
  // 256.
  const ptx::LaunchBounds& bounds = code.function->bounds;
  std::uint64_t threads = 1;
  for (int i = 0; i < 3; ++i) {
    threads *= std::max({std::uint64_t{1}, std::uint64_t{bounds.max_threads[i]},
                         std::uint64_t{bounds.required_threads[i]}});
  }
  threads = std::clamp<std::uint64_t>((threads + 31) / 32 * 32, 32, 1024);
  const std::uint64_t blocks = std::max<std::uint64_t>(1, bounds.min_blocks);
  const std::uint64_t most = std::max<std::uint64_t>(16, 65536 / (threads * blocks) / 8 * 8);
  return static_cast<int>(
      std::clamp<std::uint64_t>(code.num_registers + 8, 16, std::min<std::uint64_t>(255, most)));
}

int resident_blocks(const Device& device, const Code& code, int block_threads,
                    std::uint64_t dynamic_shared_bytes) {
  const cudaDeviceProp& p = device.properties();
  if (block_threads <= 0 || block_threads > p.maxThreadsPerBlock) return 0;
  const std::uint64_t warps = (static_cast<std::uint64_t>(block_threads) + 31) / 32;
  // An estimate of registers must not refuse a block that the compiler would have made room for.
  const std::uint64_t fitting = 65536 / (warps * 32) / 8 * 8;
  const std::uint64_t registers =
      std::min<std::uint64_t>(static_cast<std::uint64_t>(registers_estimate(code)), fitting);
  const std::uint64_t warp_registers = (registers * 32 + 255) / 256 * 256;
  std::uint64_t blocks = static_cast<std::uint64_t>(p.maxBlocksPerMultiProcessor);
  blocks = std::min(blocks, static_cast<std::uint64_t>(p.maxThreadsPerMultiProcessor) / 32 / warps);
  blocks = std::min(blocks, 65536 / (warp_registers * warps));
  const std::uint64_t shared =
      code.static_shared_bytes + dynamic_shared_bytes + p.reservedSharedMemPerBlock;
  if (code.static_shared_bytes + dynamic_shared_bytes > p.sharedMemPerBlockOptin) return 0;
  blocks = std::min(blocks, p.sharedMemPerMultiprocessor / ((shared + 127) / 128 * 128));
  return static_cast<int>(blocks);
}

}  // namespace ptx_emulator
