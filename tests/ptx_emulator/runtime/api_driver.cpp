// The few functions of the driver that programs ask the runtime for.

#include <cuda.h>

#include <cstdio>
#include <cstring>
#include <set>

#include "tests/ptx_emulator/machine/tensor/tensor_map.h"
#include "tests/ptx_emulator/runtime/kernel_launch.h"

using namespace ptx_emulator;

namespace {

// Codes of the driver and the runtime are the same numbers.
CUresult result(cudaError_t error) {
  return static_cast<CUresult>(error);
}

CUresult get_error_string(CUresult error, const char** text) {
  *text = error_text(static_cast<cudaError_t>(error));
  return CUDA_SUCCESS;
}
CUresult get_error_name(CUresult error, const char** text) {
  *text = error_name(static_cast<cudaError_t>(error));
  return CUDA_SUCCESS;
}
CUresult init(unsigned) {
  return CUDA_SUCCESS;
}
CUresult driver_version(int* version) {
  return result(cudaDriverGetVersion(version));
}
CUresult device_count(int* count) {
  return result(cudaGetDeviceCount(count));
}
CUresult device_get(CUdevice* device, int index) {
  *device = index;
  return CUDA_SUCCESS;
}
CUresult device_attribute_of(int* value, CUdevice_attribute attribute, CUdevice device) {
  return result(cudaDeviceGetAttribute(value, static_cast<cudaDeviceAttr>(attribute), device));
}
CUresult device_name(char* name, int length, CUdevice device) {
  cudaDeviceProp properties;
  const cudaError_t error = cudaGetDeviceProperties(&properties, device);
  if (error == cudaSuccess && length > 0) {
    std::snprintf(name, static_cast<std::size_t>(length), "%s", properties.name);
  }
  return result(error);
}
CUresult device_memory(std::size_t* bytes, CUdevice device) {
  cudaDeviceProp properties;
  const cudaError_t error = cudaGetDeviceProperties(&properties, device);
  if (error == cudaSuccess) *bytes = properties.totalGlobalMem;
  return result(error);
}
// A context is its device: handles are the device's number and one.
CUcontext context_of(int device) {
  return reinterpret_cast<CUcontext>(static_cast<std::uintptr_t>(device) + 1);
}
CUresult context_current(CUcontext* context) {
  *context = context_of(current_device());
  return CUDA_SUCCESS;
}
CUresult context_set(CUcontext context) {
  if (context == nullptr) return CUDA_SUCCESS;
  return result(cudaSetDevice(static_cast<int>(reinterpret_cast<std::uintptr_t>(context)) - 1));
}
CUresult context_device(CUdevice* device) {
  return result(cudaGetDevice(device));
}
CUresult context_synchronise() {
  return result(cudaDeviceSynchronize());
}
CUresult primary_retain(CUcontext* context, CUdevice device) {
  *context = context_of(device);
  return CUDA_SUCCESS;
}
CUresult primary_release(CUdevice) {
  return CUDA_SUCCESS;
}
CUresult primary_state(CUdevice, unsigned* flags, int* active) {
  *flags = 0;
  *active = 1;
  return CUDA_SUCCESS;
}
CUresult stream_capturing(CUstream stream, CUstreamCaptureStatus* status) {
  cudaStreamCaptureStatus runtime_status;
  const cudaError_t error = cudaStreamIsCapturing(stream, &runtime_status);
  if (error == cudaSuccess) *status = static_cast<CUstreamCaptureStatus>(runtime_status);
  return result(error);
}
CUresult launch_kernel_plain(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                             unsigned block_x, unsigned block_y, unsigned block_z,
                             unsigned shared_bytes, CUstream stream, void** arguments,
                             void** extra) {
  return result(api("cuLaunchKernel", [&](Call& call) {
    LaunchRequest request;
    request.function = function;
    request.grid = dim3(grid_x, grid_y, grid_z);
    request.block = dim3(block_x, block_y, block_z);
    request.shared_bytes = shared_bytes;
    request.arguments = arguments;
    request.extra = extra;
    launch_kernel(call, stream, request);
  }));
}

CUresult encode_tensor_map(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank,
                           void* address, const cuuint64_t* sizes, const cuuint64_t* strides,
                           const cuuint32_t* box, const cuuint32_t* element_strides,
                           CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                           CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill) {
  return result(api("cuTensorMapEncodeTiled", [&](Call&) {
    require(map != nullptr, "the map is null");
    // The driver's 64-bit integers are another type of the same representation.
    static_assert(sizeof(cuuint64_t) == sizeof(std::uint64_t));
    TensorMap made;
    const std::string wrong =
        encode_tiled({.data_type = static_cast<TensorDataType>(type),
                      .rank = rank,
                      .address = reinterpret_cast<std::uint64_t>(address),
                      .sizes = reinterpret_cast<const std::uint64_t*>(sizes),
                      .strides = reinterpret_cast<const std::uint64_t*>(strides),
                      .box = box,
                      .element_strides = element_strides,
                      .interleave = static_cast<TensorInterleave>(interleave),
                      .swizzle = static_cast<TensorSwizzle>(swizzle),
                      .promotion = static_cast<std::uint32_t>(promotion),
                      .fill = static_cast<TensorFill>(fill)},
                     made);
    if (!wrong.empty()) throw ApiError(cudaErrorInvalidValue, wrong);
    static_assert(sizeof(CUtensorMap) == sizeof(TensorMap));
    std::memcpy(static_cast<void*>(map), &made, sizeof made);
  }));
}

struct Entry {
  const char* name;
  void* function;
};

template <typename Function>
void* pointer(Function* function) {
  return reinterpret_cast<void*>(function);
}

void* driver_function(const char* name) {
  static const Entry kEntries[] = {
      {"cuGetErrorString", pointer(get_error_string)},
      {"cuGetErrorName", pointer(get_error_name)},
      {"cuInit", pointer(init)},
      {"cuDriverGetVersion", pointer(driver_version)},
      {"cuDeviceGetCount", pointer(device_count)},
      {"cuDeviceGet", pointer(device_get)},
      {"cuDeviceGetAttribute", pointer(device_attribute_of)},
      {"cuDeviceGetName", pointer(device_name)},
      {"cuDeviceTotalMem", pointer(device_memory)},
      {"cuCtxGetCurrent", pointer(context_current)},
      {"cuCtxSetCurrent", pointer(context_set)},
      {"cuCtxGetDevice", pointer(context_device)},
      {"cuCtxSynchronize", pointer(context_synchronise)},
      {"cuDevicePrimaryCtxRetain", pointer(primary_retain)},
      {"cuDevicePrimaryCtxRelease", pointer(primary_release)},
      {"cuDevicePrimaryCtxGetState", pointer(primary_state)},
      {"cuStreamIsCapturing", pointer(stream_capturing)},
      {"cuLaunchKernel", pointer(launch_kernel_plain)},
      {"cuTensorMapEncodeTiled", pointer(encode_tensor_map)},
  };
  for (const Entry& entry : kEntries) {
    if (std::strcmp(entry.name, name) == 0) return entry.function;
  }
  return nullptr;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned,
                                             unsigned long long,
                                             cudaDriverEntryPointQueryResult* status) {
  return api("cudaGetDriverEntryPoint", [&](Call&) {
    require(name != nullptr && function != nullptr);
    *function = driver_function(name);
    if (status != nullptr) {
      *status =
          *function != nullptr ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
    }
    if (*function != nullptr) return;
    static std::set<std::string> told;
    if (told.insert(name).second) {
      std::fprintf(stderr, "ptx-emulator: the driver's %s is not supported\n", name);
    }
    require(status != nullptr, "", cudaErrorSymbolNotFound);
  });
}
cudaError_t cudaGetDriverEntryPoint(const char* name, void** function, unsigned long long flags,
                                    cudaDriverEntryPointQueryResult* status) {
  return cudaGetDriverEntryPointByVersion(name, function, 0, flags, status);
}

}  // extern "C"
#pragma GCC visibility pop
