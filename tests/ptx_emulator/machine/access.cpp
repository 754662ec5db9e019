#include "tests/ptx_emulator/machine/access.h"

#include <sys/mman.h>

#include <bit>
#include <string>

#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/fault.h"
#include "tests/ptx_emulator/machine/lane_memory.h"
#include "tests/ptx_emulator/machine/text.h"

namespace ptx_emulator {

AccessSpace sort_generic(std::uint64_t& address) {
  if (address - kSharedWindow < kWindowBytes) {
    address -= kSharedWindow;
    return AccessSpace::kShared;
  }
  if (address - kLocalWindow < kWindowBytes) {
    address -= kLocalWindow;
    return AccessSpace::kLocal;
  }
  return AccessSpace::kGlobal;
}

namespace {

// One access of one lane (lane 32: of nobody in particular).
struct Request {
  std::uint64_t address;
  std::uint64_t bytes;
  std::uint32_t lane;
  AccessKind kind;
  bool cluster;
};

bool writes(AccessKind kind) {
  return kind == AccessKind::kWrite || kind == AccessKind::kAtomic ||
         kind == AccessKind::kAsyncWrite;
}

std::string verb(const Request& request) {
  const char* word = request.kind == AccessKind::kAtomic ? "atomic access"
                     : writes(request.kind)              ? "write"
                                                         : "read";
  return std::string(word) + " of " + std::to_string(request.bytes) + " bytes at " +
         hexadecimal(request.address);
}

[[noreturn]] void fault(FaultKind kind, const Request& request, const std::string& why) {
  throw DeviceFault(kind, verb(request) + ": " + why, request.lane);
}

bool is_host_memory(std::uint64_t address) {
  unsigned char resident = 0;
  constexpr std::uint64_t kPage = 4096;
  return address >= kPage && address < (std::uint64_t{1} << 47) &&
         mincore(reinterpret_cast<void*>(static_cast<std::uintptr_t>(address / kPage * kPage)),
                 kPage, &resident) == 0;
}

std::string describe(const Allocation& allocation) {
  return "allocation " + std::to_string(allocation.number) + " (" + allocation.label + ", " +
         std::to_string(allocation.end - allocation.begin) + " bytes at " +
         hexadecimal(allocation.begin) + ")";
}

[[noreturn]] void fault_outside(const DeviceMemory& memory, const Request& request) {
  if (request.address < 4096) fault(FaultKind::kOutOfBounds, request, "a null pointer");
  const Allocation* below = memory.nearest_below(request.address);
  constexpr std::uint64_t kNear = std::uint64_t{1} << 32;
  // Ranges that device memory reserved are mapped too, without any access.
  const bool of_host = !memory.reserves(request.address) && is_host_memory(request.address);
  if (below != nullptr && request.address - below->end < kNear && !of_host) {
    fault(FaultKind::kOutOfBounds, request,
          std::to_string(request.address - below->end) + " bytes past the end of " +
              describe(*below));
  }
  if (of_host) {
    fault(FaultKind::kHostPointer, request, "that is host memory, which kernels do not reach");
  }
  fault(FaultKind::kOutOfBounds, request, "no allocation is near");
}

// Global and constant memory, and what shares its addresses.
std::byte* global_pointer(Warp& warp, const Request& request) {
  Block& block = *warp.block;
  if (std::byte* cached =
          cached_pointer(block.cache, request.address, request.bytes, writes(request.kind))) {
    return cached;
  }
  const DeviceMemory& memory = *block.grid->memory;
  const Allocation* allocation = memory.find(request.address);
  if (allocation == nullptr) fault_outside(memory, request);
  if (allocation->freed)
    fault(FaultKind::kUseAfterFree, request, "freed before: " + describe(*allocation));
  if (request.bytes > allocation->end - request.address) {
    fault(FaultKind::kOutOfBounds, request,
          std::to_string(request.address + request.bytes - allocation->end) +
              " bytes past the end of " + describe(*allocation));
  }
  const bool read_only = allocation->kind == MemoryKind::kConstant;
  if (read_only && writes(request.kind)) {
    fault(FaultKind::kReadOnly, request, "constant memory: " + describe(*allocation));
  }
  AllocationCache& cache = block.cache;
  cache.entries[cache.next] = {allocation->begin, allocation->end, allocation->to_host, read_only};
  cache.next = (cache.next + 1) % static_cast<std::uint32_t>(cache.entries.size());
  return reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(request.address) +
                                      static_cast<std::uintptr_t>(allocation->to_host));
}

std::byte* shared_pointer(const Warp& warp, const Request& request) {
  const Block* block = warp.block;
  std::uint64_t offset = request.address;
  if (const std::uint64_t rank = offset >> kClusterRankShift; rank != 0) {
    const Cluster& cluster = *block->cluster;
    if (!request.cluster || rank > cluster.blocks.size()) {
      fault(FaultKind::kOutOfBounds, request,
            "beyond the " + std::to_string(block->shared_bytes) +
                " bytes of shared memory of the block");
    }
    block = cluster.blocks[rank - 1];
    offset &= (std::uint64_t{1} << kClusterRankShift) - 1;
    if (block->live_warps == 0) {
      fault(FaultKind::kOutOfBounds, request,
            "shared memory of a block of the cluster that has ended");
    }
  }
  if (offset >= kReservedShared && offset - kReservedShared < kReservedSharedBytes &&
      request.bytes <= kReservedSharedBytes - (offset - kReservedShared)) {
    return block->reserved_shared + (offset - kReservedShared);
  }
  if (offset >= block->shared_bytes || request.bytes > block->shared_bytes - offset) {
    fault(FaultKind::kOutOfBounds, request,
          "beyond the " + std::to_string(block->shared_bytes) +
              " bytes of shared memory of the block");
  }
  return block->shared + offset;
}

std::byte* local_pointer(const Warp& warp, const Request& request) {
  const Grid& grid = *warp.block->grid;
  if (request.address >= grid.local_bytes || request.bytes > grid.local_bytes - request.address) {
    fault(
        FaultKind::kOutOfBounds, request,
        "beyond the " + std::to_string(grid.local_bytes) + " bytes of local memory of the thread");
  }
  return warp.local + request.lane * grid.local_bytes + request.address;
}

std::byte* parameter_pointer(const Warp& warp, const Request& request) {
  const Grid& grid = *warp.block->grid;
  const std::uint64_t bytes = grid.launch->parameters.size();
  const std::uint64_t offset = request.address - kParameterWindow;
  if (offset >= bytes || request.bytes > bytes - offset) {
    fault(FaultKind::kOutOfBounds, request,
          "beyond the kernel's parameters of " + std::to_string(bytes) + " bytes");
  }
  if (writes(request.kind)) fault(FaultKind::kReadOnly, request, "the kernel's parameters");
  return const_cast<std::byte*>(grid.parameters.data()) + offset;
}

std::byte* pointer(Warp& warp, AccessSpace space, Request request) {
  if (space == AccessSpace::kGeneric) {
    space = sort_generic(request.address);
    if (space == AccessSpace::kShared) request.cluster = true;
    if (space == AccessSpace::kGlobal && request.address - kParameterWindow < kWindowBytes) {
      return parameter_pointer(warp, request);
    }
  }
  switch (space) {
    case AccessSpace::kShared:
      return shared_pointer(warp, request);
    case AccessSpace::kLocal:
      return local_pointer(warp, request);
    default:
      return global_pointer(warp, request);
  }
}

void check_alignment(const Warp& warp, const Request& request, std::uint32_t alignment) {
  if ((request.address & (alignment - 1)) == 0 || !warp.block->grid->options->checks.memory) return;
  fault(FaultKind::kMisaligned, request,
        "the address must be a multiple of " + std::to_string(alignment));
}

// Observers hear of one space at a time.
void observe_access(Warp& warp, const Op* op, const AccessForm& form, std::uint32_t lanes,
                    const std::uint64_t* addresses) {
  Observer& observer = *warp.block->observer;
  if (form.space != AccessSpace::kGeneric) return observer.access(warp, op, form, lanes, addresses);
  std::uint64_t sorted[kWarpLanes] = {};
  std::uint32_t of_space[3] = {0, 0, 0};
  constexpr AccessSpace kSpaces[3] = {AccessSpace::kGlobal, AccessSpace::kShared,
                                      AccessSpace::kLocal};
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
    sorted[lane] = addresses[lane];
    if (addresses[lane] - kParameterWindow < kWindowBytes) continue;
    const AccessSpace space = sort_generic(sorted[lane]);
    for (int i = 0; i < 3; ++i)
      of_space[i] |= static_cast<std::uint32_t>(space == kSpaces[i]) << lane;
  }
  for (int i = 0; i < 3; ++i) {
    if (of_space[i] == 0) continue;
    AccessForm part = form;
    part.space = kSpaces[i];
    part.cluster = form.cluster || kSpaces[i] == AccessSpace::kShared;
    observer.access(warp, op, part, of_space[i], sorted);
  }
}

}  // namespace

void resolve(Warp& warp, const Op* op, const AccessForm& form, std::uint32_t lanes,
             const std::uint64_t* addresses, std::byte** pointers) {
  const bool linear = form.space == AccessSpace::kGlobal || form.space == AccessSpace::kGeneric ||
                      form.space == AccessSpace::kConstant;
  const std::uint64_t misaligned_bits = form.alignment - 1;
  const AllocationCache::Entry* entry = &warp.block->cache.entries[0];
  const bool is_write = writes(form.kind);
  // Shared and local memory: one range each.
  std::byte* memory = nullptr;
  std::uint64_t within = 0, lane_distance = 0;
  if (form.space == AccessSpace::kShared) {
    memory = warp.block->shared;
    within = warp.block->shared_bytes;
  } else if (form.space == AccessSpace::kLocal) {
    memory = warp.local;
    within = lane_distance = warp.block->grid->local_bytes;
  }
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
    const std::uint64_t address = addresses[lane];
    // The entry that held the last lane's bytes most likely holds this one's.
    if (linear && (address & misaligned_bits) == 0 && address >= entry->begin &&
        address < entry->end && form.bytes <= entry->end - address &&
        !(is_write && entry->read_only)) {
      pointers[lane] = reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(address) +
                                                    static_cast<std::uintptr_t>(entry->to_host));
      continue;
    }
    if (within != 0 && address < within && form.bytes <= within - address &&
        (address & misaligned_bits) == 0) {
      pointers[lane] = memory + lane * lane_distance + address;
      continue;
    }
    const Request request{address, form.bytes, lane, form.kind, form.cluster};
    check_alignment(warp, request, form.alignment);
    pointers[lane] = pointer(warp, form.space, request);
    if (linear) {
      for (const AllocationCache::Entry& other : warp.block->cache.entries) {
        if (address >= other.begin && address < other.end) entry = &other;
      }
    }
  }
  if (warp.block->observer != nullptr) observe_access(warp, op, form, lanes, addresses);
}

std::byte* resolve_range(Warp& warp, const Op* op, AccessSpace space, AccessKind kind,
                         std::uint64_t address, std::uint64_t bytes, std::uint32_t alignment) {
  const std::uint32_t lane =
      warp.active == 0 ? 0 : static_cast<std::uint32_t>(std::countr_zero(warp.active));
  const Request request{address, bytes, lane, kind, true};
  check_alignment(warp, request, alignment);
  std::byte* result = pointer(warp, space, request);
  if (warp.block->observer != nullptr) {
    if (space == AccessSpace::kGeneric) {
      if (address - kParameterWindow < kWindowBytes) return result;
      space = sort_generic(address);
    }
    warp.block->observer->access_range(warp, op, space, kind, address, bytes);
  }
  return result;
}

std::byte* lane_pointer(Warp& warp, const Op* /*op*/, std::uint32_t lane, std::uint64_t address,
                        std::uint32_t bytes, AccessKind kind) {
  return pointer(warp, AccessSpace::kGeneric, {address, bytes, lane, kind, true});
}

}  // namespace ptx_emulator
