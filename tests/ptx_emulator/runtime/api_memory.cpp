// Allocation of device memory and of memory of the host that devices reach.

#include <algorithm>

#include "tests/ptx_emulator/machine/observer.h"
#include "tests/ptx_emulator/runtime/allocation.h"

using namespace ptx_emulator;

namespace ptx_emulator {

std::uint64_t allocate(Device& device, DeviceMemory& memory, MemoryKind kind, std::size_t bytes,
                       const char* function) {
  std::string label = std::string(function) + " of " + std::to_string(bytes) + " bytes";
  if (device.index() != 0) label += " on device " + std::to_string(device.index());
  const Allocation* const made = memory.allocate(bytes, kind, label);
  if (made == nullptr) {
    throw ApiError(cudaErrorMemoryAllocation,
                   std::to_string(bytes) + " bytes; the device has " +
                       std::to_string(memory.capacity_bytes() - memory.used_bytes()) + " of " +
                       std::to_string(memory.capacity_bytes()) + " left");
  }
  if (Runtime::instance().settings.machine.checks.uninitialised && kind == MemoryKind::kDevice) {
    note_uninitialised(memory, made->begin, bytes);
  }
  return made->begin;
}

// Device memory as the call asks for it; zero bytes are a null pointer.
void* allocate_device(Call& call, std::size_t bytes, const char* function) {
  Device& device = call.device();
  call.forbid_capture();
  if (bytes == 0) return nullptr;
  return reinterpret_cast<void*>(
      allocate(device, device.memory(), MemoryKind::kDevice, bytes, function));
}

void* allocate_host(Call& call, std::size_t bytes, MemoryKind kind, const char* function) {
  Device& device = call.device();
  call.forbid_capture();
  if (bytes == 0) return nullptr;
  return reinterpret_cast<void*>(allocate(device, call.runtime.host_memory, kind, bytes, function));
}

// Ends the life of the allocation that begins at the pointer, after all queued work.
void release(Call& call, void* pointer, bool of_host) {
  if (pointer == nullptr) return;
  Runtime& runtime = call.runtime;
  call.forbid_capture();
  const std::uint64_t address = reinterpret_cast<std::uint64_t>(pointer);
  runtime.scheduler.wait(call.lock, nullptr);
  const Allocation* const found = runtime.find(address);
  const bool right_kind = found != nullptr && (found->kind == MemoryKind::kPinned) == of_host &&
                          found->kind != MemoryKind::kConstant;
  if (!right_kind || found->freed || found->begin != address) {
    throw ApiError(cudaErrorInvalidValue,
                   runtime.describe(address) + (of_host ? ", is no live memory of cudaMallocHost"
                                                        : ", is no live memory of cudaMalloc"));
  }
  Device* const owner = runtime.owner(address);
  DeviceMemory& memory = owner != nullptr ? owner->memory() : runtime.host_memory;
  memory.release(address);
  require(call.any_device().sticky == cudaSuccess, "", call.any_device().sticky);
}

}  // namespace ptx_emulator

#pragma GCC visibility push(default)
extern "C" {

cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  return api("cudaMalloc", [&](Call& call) {
    require(pointer != nullptr);
    *pointer = allocate_device(call, bytes, "cudaMalloc");
  });
}

cudaError_t cudaMallocPitch(void** pointer, std::size_t* pitch, std::size_t width,
                            std::size_t height) {
  return api("cudaMallocPitch", [&](Call& call) {
    require(pointer != nullptr && pitch != nullptr && width <= SIZE_MAX - 511);
    const std::size_t row = (width + 511) / 512 * 512;
    std::size_t bytes = 0;
    require(!__builtin_mul_overflow(row, height, &bytes), "its size does not fit 64 bits");
    *pointer = allocate_device(call, bytes, "cudaMallocPitch");
    *pitch = row;
  });
}

cudaError_t cudaMalloc3D(cudaPitchedPtr* memory, cudaExtent extent) {
  return api("cudaMalloc3D", [&](Call& call) {
    require(memory != nullptr && extent.width <= SIZE_MAX - 511);
    const std::size_t row = (extent.width + 511) / 512 * 512;
    std::size_t bytes = 0;
    require(!__builtin_mul_overflow(row, extent.height, &bytes) &&
                !__builtin_mul_overflow(bytes, extent.depth, &bytes),
            "its size does not fit 64 bits");
    *memory = {allocate_device(call, bytes, "cudaMalloc3D"), row, extent.width, extent.height};
  });
}

cudaError_t cudaFree(void* pointer) {
  return api("cudaFree", [&](Call& call) {
    call.device();
    release(call, pointer, false);
  });
}

cudaError_t cudaMallocManaged(void** pointer, std::size_t bytes, unsigned flags) {
  return api("cudaMallocManaged", [&](Call& call) {
    require(pointer != nullptr && bytes != 0);
    require(flags == cudaMemAttachGlobal || flags == cudaMemAttachHost);
    *pointer = allocate_host(call, bytes, MemoryKind::kManaged, "cudaMallocManaged");
  });
}

cudaError_t cudaHostAlloc(void** pointer, std::size_t bytes, unsigned flags) {
  return api("cudaHostAlloc", [&](Call& call) {
    require(pointer != nullptr && (flags & ~7u) == 0);
    *pointer = allocate_host(call, bytes, MemoryKind::kPinned, "cudaHostAlloc");
  });
}
cudaError_t cudaMallocHost(void** pointer, std::size_t bytes) {
  return api("cudaMallocHost", [&](Call& call) {
    require(pointer != nullptr);
    *pointer = allocate_host(call, bytes, MemoryKind::kPinned, "cudaMallocHost");
  });
}
cudaError_t cudaFreeHost(void* pointer) {
  return api("cudaFreeHost", [&](Call& call) { release(call, pointer, true); });
}

cudaError_t cudaHostRegister(void* pointer, std::size_t bytes, unsigned flags) {
  return api("cudaHostRegister", [&](Call& call) {
    require(pointer != nullptr && bytes != 0 && (flags & ~15u) == 0);
    call.device();
    const std::string label = "cudaHostRegister of " + std::to_string(bytes) + " bytes";
    const std::uint64_t address = reinterpret_cast<std::uint64_t>(pointer);
    require(call.runtime.find(address) == nullptr, "part of it is registered already",
            cudaErrorHostMemoryAlreadyRegistered);
    require(call.runtime.host_memory.adopt(pointer, bytes, label) != nullptr,
            "part of it is registered already", cudaErrorHostMemoryAlreadyRegistered);
  });
}
cudaError_t cudaHostUnregister(void* pointer) {
  return api("cudaHostUnregister", [&](Call& call) {
    call.runtime.scheduler.wait(call.lock, nullptr);
    const std::uint64_t address = reinterpret_cast<std::uint64_t>(pointer);
    const Allocation* const found = call.runtime.find(address);
    require(found != nullptr && found->label.rfind("cudaHostRegister", 0) == 0 &&
                call.runtime.host_memory.release(address),
            "the memory is not registered", cudaErrorHostMemoryNotRegistered);
  });
}
cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned) {
  return api("cudaHostGetDevicePointer", [&](Call& call) {
    require(device != nullptr);
    const Allocation* const found = call.runtime.find(reinterpret_cast<std::uint64_t>(host));
    require(found != nullptr && !found->freed && found->kind == MemoryKind::kPinned,
            "the memory is not pinned");
    *device = host;
  });
}
cudaError_t cudaHostGetFlags(unsigned* flags, void* host) {
  return api("cudaHostGetFlags", [&](Call& call) {
    require(flags != nullptr);
    const Allocation* const found = call.runtime.find(reinterpret_cast<std::uint64_t>(host));
    require(found != nullptr && !found->freed && found->kind == MemoryKind::kPinned,
            "the memory is not pinned");
    *flags = cudaHostAllocMapped;
  });
}

cudaError_t cudaMemGetInfo(std::size_t* free_bytes, std::size_t* total_bytes) {
  return api("cudaMemGetInfo", [&](Call& call) {
    require(free_bytes != nullptr && total_bytes != nullptr);
    const DeviceMemory& memory = call.device().memory();
    *total_bytes = memory.capacity_bytes();
    *free_bytes = *total_bytes - std::min(*total_bytes, memory.used_bytes());
  });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  return api("cudaPointerGetAttributes", [&](Call& call) {
    require(attributes != nullptr);
    *attributes = {};
    const std::uint64_t address = reinterpret_cast<std::uint64_t>(pointer);
    const Allocation* const found = call.runtime.find(address);
    attributes->device = call.any_device().index();
    if (found == nullptr || found->freed) {
      attributes->type = cudaMemoryTypeUnregistered;
      attributes->device = -2;
      attributes->hostPointer = const_cast<void*>(pointer);
      return;
    }
    attributes->devicePointer = const_cast<void*>(pointer);
    switch (found->kind) {
      case MemoryKind::kPinned:
        attributes->type = cudaMemoryTypeHost;
        attributes->hostPointer = const_cast<void*>(pointer);
        break;
      case MemoryKind::kManaged:
        attributes->type = cudaMemoryTypeManaged;
        attributes->hostPointer = const_cast<void*>(pointer);
        break;
      default:
        attributes->type = cudaMemoryTypeDevice;
        if (const Device* const owner = call.runtime.owner(address)) {
          attributes->device = owner->index();
        }
        break;
    }
  });
}

// Hints: memory is where it is.
cudaError_t cudaMemPrefetchAsync(const void* pointer, std::size_t bytes, cudaMemLocation, unsigned,
                                 cudaStream_t stream) {
  return api("cudaMemPrefetchAsync", [&](Call& call) {
    call.stream(stream);
    require(call.runtime.find(reinterpret_cast<std::uint64_t>(pointer)) != nullptr && bytes != 0,
            "the memory is not managed");
  });
}
cudaError_t cudaMemAdvise(const void* pointer, std::size_t bytes, cudaMemoryAdvise,
                          cudaMemLocation) {
  return api("cudaMemAdvise", [&](Call& call) {
    require(call.runtime.find(reinterpret_cast<std::uint64_t>(pointer)) != nullptr && bytes != 0,
            "the memory is not managed");
  });
}
cudaError_t cudaStreamAttachMemAsync(cudaStream_t stream, void*, std::size_t, unsigned) {
  return api("cudaStreamAttachMemAsync", [&](Call& call) { call.stream(stream); });
}

}  // extern "C"
#pragma GCC visibility pop
