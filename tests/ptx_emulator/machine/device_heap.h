#pragma once
// malloc and free of device code.

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "tests/ptx_emulator/machine/device_memory.h"

namespace ptx_emulator {

// One allocation of device memory, divided on request. Safe to call from several threads.
class DeviceHeap {
 public:
  DeviceHeap(DeviceMemory& memory, std::uint64_t bytes) : memory_(memory), bytes_(bytes) {}
  ~DeviceHeap();
  DeviceHeap(const DeviceHeap&) = delete;
  DeviceHeap& operator=(const DeviceHeap&) = delete;

  // A device address, 16-byte aligned; 0 where the heap is full.
  std::uint64_t allocate(std::uint64_t bytes);
  // Empty, or why the address cannot be freed.
  std::string release(std::uint64_t address);

 private:
  DeviceMemory& memory_;
  std::uint64_t bytes_;
  std::mutex lock_;
  const Allocation* allocation_ = nullptr;
  std::map<std::uint64_t, std::uint64_t> used_, unused_;  // begin to bytes
};

}  // namespace ptx_emulator
