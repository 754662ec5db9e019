#pragma once
// The memory that kernels and the runtime share: allocations with addresses that the host cannot
// dereference.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ptx_emulator {

enum class MemoryKind : std::uint8_t {
  kDevice,    // PROT_NONE at the address that programs see; the machine works through a second view
  kConstant,  // as kDevice, read-only for kernels
  kPinned,    // host memory that kernels reach too (cudaMallocHost, registered memory)
  kManaged,   // readable by both at the same address
};

// One live (or freed) allocation. Objects never move or disappear while the memory exists: a freed
// one keeps its address range reserved for a while, so that use after free is found and named.
struct Allocation {
  std::uint64_t begin = 0;  // device address
  std::uint64_t end = 0;
  std::ptrdiff_t to_host =
      0;  // add to a device address for the address that the machine may access
  MemoryKind kind = MemoryKind::kDevice;
  bool freed = false;
  std::uint64_t number = 0;  // 1 for the first allocation of the process
  std::string label;         // "cudaMalloc of 4096 bytes, the 3rd", "__device__ variable counter"
};

// Address space of one device. Allocation and release are serialised by the caller (the runtime's
// lock); `find` may be called from the machine's threads meanwhile. Fresh device memory is filled
// with 0xFF bytes (a NaN of every floating type), so that a value never written shows.
class DeviceMemory {
 public:
  // Reserves the address range; commits nothing. `capacity_bytes`: what cudaMemGetInfo calls total.
  explicit DeviceMemory(std::uint64_t capacity_bytes);
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  // 256-byte aligned (device kinds), with a guard gap behind. nullptr where capacity is exhausted.
  // Zero bytes: nullptr.
  const Allocation* allocate(std::uint64_t bytes, MemoryKind kind, std::string label);
  // Makes host memory at `pointer` reachable under its own address (cudaHostRegister).
  const Allocation* adopt(void* pointer, std::uint64_t bytes, std::string label);
  // False where `address` is not the begin of a live allocation.
  bool release(std::uint64_t address);

  // The allocation that contains the address, live or freed; nullptr where there is none.
  const Allocation* find(std::uint64_t address) const;
  // Whether the address is in a range that this memory reserved (live, freed or in a gap). Takes no
  // lock.
  bool reserves(std::uint64_t address) const;
  // The nearest allocation below the address, for messages ("16 bytes past the end of ...").
  const Allocation* nearest_below(std::uint64_t address) const;

  // Lets kernels of this device reach another's allocations (peer access; memory of the host that
  // all devices see). The other one must live as long. Not while kernels run.
  void add_peer(const DeviceMemory& other);
  void remove_peer(const DeviceMemory& other);

  // Host address of [address, address + bytes), nullptr where that is not inside one live
  // allocation.
  std::byte* host_pointer(std::uint64_t address, std::uint64_t bytes) const;

  std::uint64_t used_bytes() const;
  std::uint64_t capacity_bytes() const;
  std::vector<const Allocation*> live() const;  // for leak reports

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ptx_emulator
