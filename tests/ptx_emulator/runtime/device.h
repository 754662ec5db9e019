#pragma once
// A device as the runtime plays it: memory, the machine that executes, default streams, the error
// that ended it.

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/ptx_emulator/machine/device_memory.h"
#include "tests/ptx_emulator/machine/launch.h"
#include "tests/ptx_emulator/runtime/cuda_api.h"
#include "tests/ptx_emulator/runtime/settings.h"
#include "tests/ptx_emulator/runtime/stream.h"

namespace ptx_emulator {

// cudaDeviceProp of the device played. `memory_bytes` 0: its own.
cudaDeviceProp device_properties(DeviceName name, int index, std::uint64_t memory_bytes);
// cudaDevAttr... values; false where the attribute is not known.
bool device_attribute(const cudaDeviceProp& properties, cudaDeviceAttr attribute, int& value);

class Device {
 public:
  Device(int index, const Settings& settings, DeviceMemory& host_memory);

  int index() const { return index_; }
  const cudaDeviceProp& properties() const { return properties_; }
  std::uint32_t architecture() const;
  DeviceMemory& memory() { return memory_; }
  const DeviceMemory& memory() const { return memory_; }
  Machine& machine();  // made at first use
  Stream& legacy_stream() { return *legacy_; }

  cudaError_t sticky = cudaSuccess;  // of a fault; every call returns it
  std::vector<Stream*> streams;      // all of them, the default ones included
  std::set<int> peers;               // devices whose memory this one may reach
  std::size_t limits[16] = {};
  unsigned flags = 0;
  bool used = false;

 private:
  int index_;
  const Settings& settings_;
  cudaDeviceProp properties_;
  DeviceMemory memory_;
  std::unique_ptr<Machine> machine_;
  std::unique_ptr<Stream> legacy_;
};

// How many blocks of this kernel an SM holds at once; 0 where one does not fit.
int resident_blocks(const Device& device, const Code& code, int block_threads,
                    std::uint64_t dynamic_shared_bytes);

}  // namespace ptx_emulator
