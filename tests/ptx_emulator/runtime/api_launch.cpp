// Launches and the functions around kernels.

#include <algorithm>
#include <cstring>

#include "tests/ptx_emulator/machine/occupancy.h"
#include "tests/ptx_emulator/runtime/kernel_launch.h"
#include "tests/ptx_emulator/runtime/thread_state.h"

using namespace ptx_emulator;

#pragma GCC visibility push(default)
extern "C" {

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, std::size_t shared_bytes,
                                     CUstream_st* stream) {
  thread_state().configurations.push_back({grid, block, shared_bytes, stream});
  return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, std::size_t* shared_bytes,
                                       void* stream) {
  std::vector<LaunchConfiguration>& stack = thread_state().configurations;
  if (stack.empty()) return remember(cudaErrorMissingConfiguration);
  const LaunchConfiguration top = stack.back();
  stack.pop_back();
  *grid = top.grid;
  *block = top.block;
  *shared_bytes = top.shared_bytes;
  *static_cast<cudaStream_t*>(stream) = top.stream;
  return cudaSuccess;
}

cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* function) {
  return api("__cudaGetKernel", [&](Call& call) {
    *kernel = reinterpret_cast<cudaKernel_t>(&find_kernel(call, function));
  });
}

cudaError_t cudaGetKernel(cudaKernel_t* kernel, const void* function) {
  return api("cudaGetKernel", [&](Call& call) {
    require(kernel != nullptr);
    *kernel = reinterpret_cast<cudaKernel_t>(&find_kernel(call, function));
  });
}

cudaError_t cudaGetFuncBySymbol(cudaFunction_t* function, const void* symbol) {
  return api("cudaGetFuncBySymbol", [&](Call& call) {
    require(function != nullptr);
    *function = reinterpret_cast<cudaFunction_t>(&find_kernel(call, symbol));
  });
}

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                               std::size_t shared_bytes, cudaStream_t stream) {
  return api("kernel launch", [&](Call& call) {
    LaunchRequest request;
    request.function = kernel;
    request.grid = grid;
    request.block = block;
    request.shared_bytes = shared_bytes;
    request.arguments = arguments;
    launch_kernel(call, stream, request);
  });
}

cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                             std::size_t shared_bytes, cudaStream_t stream) {
  return api("cudaLaunchKernel", [&](Call& call) {
    LaunchRequest request;
    request.function = function;
    request.grid = grid;
    request.block = block;
    request.shared_bytes = shared_bytes;
    request.arguments = arguments;
    launch_kernel(call, stream, request);
  });
}

cudaError_t cudaLaunchCooperativeKernel(const void* function, dim3 grid, dim3 block,
                                        void** arguments, std::size_t shared_bytes,
                                        cudaStream_t stream) {
  return api("cudaLaunchCooperativeKernel", [&](Call& call) {
    LaunchRequest request;
    request.function = function;
    request.grid = grid;
    request.block = block;
    request.shared_bytes = shared_bytes;
    request.arguments = arguments;
    request.cooperative = true;
    launch_kernel(call, stream, request);
  });
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function,
                                void** arguments) {
  return api("cudaLaunchKernelExC", [&](Call& call) {
    require(config != nullptr, "the configuration is null");
    LaunchRequest request;
    request.function = function;
    request.grid = config->gridDim;
    request.block = config->blockDim;
    request.shared_bytes = config->dynamicSmemBytes;
    request.arguments = arguments;
    const LaunchEvents events = read_attributes(config->attrs, config->numAttrs, request);
    launch_kernel(call, config->stream, request, events);
  });
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function) {
  return api("cudaFuncGetAttributes", [&](Call& call) {
    require(attributes != nullptr);
    Device& device = call.device();
    Kernel& kernel = find_kernel(call, function);
    const Code& code = kernel.code(device);
    const cudaDeviceProp& p = device.properties();
    *attributes = {};
    attributes->sharedSizeBytes = code.static_shared_bytes;
    attributes->localSizeBytes = code.local_bytes;
    attributes->numRegs = static_cast<int>(registers_estimate(code));
    std::uint64_t most = 1;
    for (const std::uint32_t extent : code.function->bounds.max_threads) {
      most *= std::max(1u, extent);
    }
    attributes->maxThreadsPerBlock = code.function->bounds.max_threads[0] != 0
                                         ? static_cast<int>(std::min<std::uint64_t>(most, 1024))
                                         : p.maxThreadsPerBlock;
    attributes->ptxVersion = static_cast<int>(device.architecture());
    attributes->binaryVersion = static_cast<int>(device.architecture());
    attributes->maxDynamicSharedSizeBytes =
        kernel.max_dynamic_shared_bytes >= 0
            ? kernel.max_dynamic_shared_bytes
            : static_cast<int>(
                  p.sharedMemPerBlock -
                  std::min<std::size_t>(p.sharedMemPerBlock, code.static_shared_bytes));
    attributes->preferredShmemCarveout = kernel.carveout;
    const std::uint32_t* required = code.function->bounds.required_cluster;
    attributes->clusterDimMustBeSet = required[0] == 0 && code.function->bounds.explicit_cluster;
    attributes->requiredClusterWidth = static_cast<int>(required[0]);
    attributes->requiredClusterHeight = static_cast<int>(required[1]);
    attributes->requiredClusterDepth = static_cast<int>(required[2]);
    attributes->nonPortableClusterSizeAllowed = kernel.non_portable_cluster;
  });
}

static void set_attribute(Device& device, Kernel& kernel, cudaFuncAttribute attribute, int value) {
  const Code& code = kernel.code(device);
  switch (attribute) {
    case cudaFuncAttributeMaxDynamicSharedMemorySize: {
      const std::size_t most = device.properties().sharedMemPerBlockOptin -
                               std::min<std::size_t>(device.properties().sharedMemPerBlockOptin,
                                                     code.static_shared_bytes);
      if (value < 0 || static_cast<std::size_t>(value) > most) {
        throw ApiError(cudaErrorInvalidValue,
                       "kernel " + code.demangled + ": " + std::to_string(value) +
                           " bytes of dynamic shared memory; the device allows " +
                           std::to_string(most));
      }
      kernel.max_dynamic_shared_bytes = value;
      return;
    }
    case cudaFuncAttributePreferredSharedMemoryCarveout:
      require(value >= -1 && value <= 100, "a carveout is -1 to 100 percent");
      kernel.carveout = value;
      return;
    case cudaFuncAttributeNonPortableClusterSizeAllowed:
      kernel.non_portable_cluster = value != 0;
      return;
    case cudaFuncAttributeClusterSchedulingPolicyPreference:
      return;
    default:
      throw ApiError(cudaErrorNotSupported,
                     "function attribute " + std::to_string(attribute) + " is not supported");
  }
}

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  return api("cudaFuncSetAttribute", [&](Call& call) {
    set_attribute(call.device(), find_kernel(call, function), attribute, value);
  });
}

cudaError_t cudaKernelSetAttributeForDevice(cudaKernel_t kernel, cudaFuncAttribute attribute,
                                            int value, int device) {
  return api("cudaKernelSetAttributeForDevice", [&](Call& call) {
    set_attribute(call.device(device), find_kernel(call, kernel), attribute, value);
  });
}

cudaError_t cudaFuncSetCacheConfig(const void* function, cudaFuncCache) {
  return api("cudaFuncSetCacheConfig", [&](Call& call) { find_kernel(call, function); });
}
cudaError_t cudaFuncSetSharedMemConfig(const void* function, cudaSharedMemConfig) {
  return api("cudaFuncSetSharedMemConfig", [&](Call& call) { find_kernel(call, function); });
}

cudaError_t cudaFuncGetName(const char** name, const void* function) {
  return api("cudaFuncGetName", [&](Call& call) {
    require(name != nullptr);
    *name = find_kernel(call, function).name().c_str();
  });
}

cudaError_t cudaFuncGetParamInfo(const void* function, std::size_t index, std::size_t* offset,
                                 std::size_t* bytes) {
  return api("cudaFuncGetParamInfo", [&](Call& call) {
    const Code& code = find_kernel(call, function).code(call.device());
    require(index < code.parameters.size() && offset != nullptr);
    *offset = code.parameters[index].offset;
    if (bytes != nullptr) *bytes = code.parameters[index].bytes;
  });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    int* blocks, const void* function, int block_threads, std::size_t shared_bytes, unsigned) {
  return api("cudaOccupancyMaxActiveBlocksPerMultiprocessor", [&](Call& call) {
    require(blocks != nullptr && block_threads > 0, "a block of no threads");
    Device& device = call.device();
    *blocks = resident_blocks(device, find_kernel(call, function).code(device), block_threads,
                              shared_bytes);
  });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function,
                                                          int block_threads,
                                                          std::size_t shared_bytes) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, block_threads,
                                                                shared_bytes, 0);
}

cudaError_t cudaOccupancyAvailableDynamicSMemPerBlock(std::size_t* bytes, const void* function,
                                                      int blocks, int block_threads) {
  return api("cudaOccupancyAvailableDynamicSMemPerBlock", [&](Call& call) {
    require(bytes != nullptr && blocks > 0 && block_threads > 0);
    Device& device = call.device();
    const Code& code = find_kernel(call, function).code(device);
    const cudaDeviceProp& p = device.properties();
    const std::size_t share = p.sharedMemPerMultiprocessor / static_cast<std::size_t>(blocks);
    const std::size_t taken = code.static_shared_bytes + p.reservedSharedMemPerBlock;
    *bytes = share > taken
                 ? std::min(share - taken, p.sharedMemPerBlockOptin - code.static_shared_bytes)
                 : 0;
  });
}

cudaError_t cudaOccupancyMaxPotentialClusterSize(int* size, const void* function,
                                                 const cudaLaunchConfig_t* config) {
  return api("cudaOccupancyMaxPotentialClusterSize", [&](Call& call) {
    require(size != nullptr && config != nullptr);
    Kernel& kernel = find_kernel(call, function);
    require(call.device().properties().clusterLaunch != 0, "clusters need the device h100",
            cudaErrorNotSupported);
    *size = kernel.non_portable_cluster ? 16 : 8;
  });
}

cudaError_t cudaOccupancyMaxActiveClusters(int* clusters, const void* function,
                                           const cudaLaunchConfig_t* config) {
  return api("cudaOccupancyMaxActiveClusters", [&](Call& call) {
    require(clusters != nullptr && config != nullptr);
    Device& device = call.device();
    require(device.properties().clusterLaunch != 0, "clusters need the device h100",
            cudaErrorNotSupported);
    LaunchRequest request;
    read_attributes(config->attrs, config->numAttrs, request);
    const int threads =
        static_cast<int>(config->blockDim.x * config->blockDim.y * config->blockDim.z);
    const int blocks = resident_blocks(device, find_kernel(call, function).code(device), threads,
                                       config->dynamicSmemBytes);
    const int size = static_cast<int>(request.cluster.x * request.cluster.y * request.cluster.z);
    // A cluster lies within one of the device's groups of 16 to 18 multiprocessors; 16 are counted.
    *clusters = device.properties().multiProcessorCount / 16 * (16 * blocks / std::max(1, size));
  });
}

}  // extern "C"
#pragma GCC visibility pop
