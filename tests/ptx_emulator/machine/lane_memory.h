#pragma once
// Addresses of single lanes and of whole warps to host memory: what access.cpp gives to the memory
// handlers.

#include <cstddef>
#include <cstdint>

#include "tests/ptx_emulator/machine/access.h"
#include "tests/ptx_emulator/machine/block.h"

namespace ptx_emulator {

// Host address of [address, address + bytes), a generic address of one lane. Throws DeviceFault. No
// observer is told.
std::byte* lane_pointer(Warp& warp, const Op* op, std::uint32_t lane, std::uint64_t address,
                        std::uint32_t bytes, AccessKind kind);

// Into which space a generic address falls; `address` becomes one of that space. Parameters count
// as global.
AccessSpace sort_generic(std::uint64_t& address);

// Host address of [address, address + bytes) in global or constant memory where an allocation that
// was touched lately holds it and `writes` is allowed; nullptr otherwise.
inline std::byte* cached_pointer(const AllocationCache& cache, std::uint64_t address,
                                 std::uint64_t bytes, bool writes) {
  for (const AllocationCache::Entry& entry : cache.entries) {
    if (address >= entry.begin && address < entry.end && bytes <= entry.end - address) {
      if (writes && entry.read_only) return nullptr;
      return reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(address) +
                                          static_cast<std::uintptr_t>(entry.to_host));
    }
  }
  return nullptr;
}

}  // namespace ptx_emulator
