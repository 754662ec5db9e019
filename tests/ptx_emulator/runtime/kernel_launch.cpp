#include "tests/ptx_emulator/runtime/kernel_launch.h"

#include <algorithm>
#include <cstring>

namespace ptx_emulator {
namespace {

Dimensions dimensions(const dim3& d) {
  return {d.x, d.y, d.z};
}

std::string text(const dim3& d) {
  return "(" + std::to_string(d.x) + ", " + std::to_string(d.y) + ", " + std::to_string(d.z) + ")";
}

void check_grid(const cudaDeviceProp& p, const LaunchRequest& request, const Code& code) {
  const std::uint32_t grid[] = {request.grid.x, request.grid.y, request.grid.z};
  const std::uint32_t block[] = {request.block.x, request.block.y, request.block.z};
  for (int i = 0; i < 3; ++i) {
    if (grid[i] == 0 || grid[i] > static_cast<std::uint32_t>(p.maxGridSize[i])) {
      throw ApiError(cudaErrorInvalidConfiguration,
                     "kernel " + code.demangled + ": grid " + text(request.grid) +
                         "; each extent is at least 1 and at most 2147483647, 65535, 65535");
    }
    if (block[i] == 0 || block[i] > static_cast<std::uint32_t>(p.maxThreadsDim[i])) {
      throw ApiError(cudaErrorInvalidConfiguration,
                     "kernel " + code.demangled + ": block " + text(request.block) +
                         "; each extent is at least 1 and at most 1024, 1024, 64");
    }
  }
  const std::uint64_t threads = std::uint64_t{block[0]} * block[1] * block[2];
  if (threads > static_cast<std::uint64_t>(p.maxThreadsPerBlock)) {
    throw ApiError(cudaErrorInvalidConfiguration,
                   "kernel " + code.demangled + ": " + std::to_string(threads) +
                       " threads a block; the limit is " + std::to_string(p.maxThreadsPerBlock));
  }
  const ptx::LaunchBounds& bounds = code.function->bounds;
  if (bounds.required_threads[0] != 0) {
    for (int i = 0; i < 3; ++i) {
      require(block[i] == std::max(1u, bounds.required_threads[i]),
              "the kernel requires another block (.reqntid)");
    }
  }
  std::uint64_t most = 1;
  for (const std::uint32_t extent : bounds.max_threads) most *= std::max(1u, extent);
  if (bounds.max_threads[0] != 0 && threads > most) {
    throw ApiError(cudaErrorLaunchOutOfResources,
                   "kernel " + code.demangled + ": " + std::to_string(threads) +
                       " threads a block; its __launch_bounds__ allow " + std::to_string(most));
  }
}

void check_shared(const cudaDeviceProp& p, const LaunchRequest& request, const Kernel& kernel,
                  const Code& code) {
  const std::uint64_t fixed = code.static_shared_bytes;
  std::uint64_t most = p.sharedMemPerBlock - std::min<std::uint64_t>(p.sharedMemPerBlock, fixed);
  if (kernel.max_dynamic_shared_bytes >= 0) {
    most = std::max(most, static_cast<std::uint64_t>(kernel.max_dynamic_shared_bytes));
  }
  most = std::min(
      most, p.sharedMemPerBlockOptin - std::min<std::uint64_t>(p.sharedMemPerBlockOptin, fixed));
  if (request.shared_bytes > most) {
    throw ApiError(cudaErrorInvalidValue,
                   "kernel " + code.demangled + ": " + std::to_string(request.shared_bytes) +
                       " bytes of dynamic shared memory; " + std::to_string(most) +
                       " are allowed (cudaFuncSetAttribute with "
                       "cudaFuncAttributeMaxDynamicSharedMemorySize raises it up to " +
                       std::to_string(p.sharedMemPerBlockOptin - fixed) + ")");
  }
}

dim3 check_cluster(const cudaDeviceProp& p, const LaunchRequest& request, const Kernel& kernel,
                   const Code& code) {
  dim3 cluster = request.cluster;
  const std::uint32_t* required = code.function->bounds.required_cluster;
  if (required[0] != 0) {
    cluster = dim3(required[0], std::max(1u, required[1]), std::max(1u, required[2]));
  }
  const std::uint64_t size = std::uint64_t{cluster.x} * cluster.y * cluster.z;
  require(size != 0, "a cluster without blocks", cudaErrorInvalidConfiguration);
  if (size == 1) return cluster;
  if (p.clusterLaunch == 0) {
    throw ApiError(cudaErrorNotSupported, "kernel " + code.demangled +
                                              ": clusters need the device h100 "
                                              "(PTX_EMULATOR_DEVICE=h100)");
  }
  const std::uint64_t most = kernel.non_portable_cluster ? 16 : 8;
  if (size > most) {
    throw ApiError(cudaErrorInvalidClusterSize,
                   "kernel " + code.demangled + ": a cluster of " + std::to_string(size) +
                       " blocks; the limit is " + std::to_string(most) +
                       " (16 with cudaFuncAttributeNonPortableClusterSizeAllowed)");
  }
  if (request.grid.x % cluster.x != 0 || request.grid.y % cluster.y != 0 ||
      request.grid.z % cluster.z != 0) {
    throw ApiError(cudaErrorInvalidConfiguration,
                   "kernel " + code.demangled + ": grid " + text(request.grid) +
                       " is no multiple of the cluster " + text(cluster));
  }
  return cluster;
}

void copy_arguments(const LaunchRequest& request, const Code& code,
                    std::vector<std::byte>& parameters) {
  parameters.assign(code.parameter_bytes, std::byte{0});
  if (code.parameters.empty()) return;
  if (request.extra != nullptr) {
    // Pairs of a key and a value, ended by null: 1 the buffer, 2 a pointer to its size.
    const void* buffer = nullptr;
    std::size_t bytes = 0;
    for (void** entry = request.extra; entry[0] != nullptr; entry += 2) {
      if (entry[0] == reinterpret_cast<void*>(1)) buffer = entry[1];
      if (entry[0] == reinterpret_cast<void*>(2))
        bytes = *static_cast<const std::size_t*>(entry[1]);
    }
    require(buffer != nullptr && bytes <= parameters.size(),
            "packed arguments do not fit the kernel");
    std::memcpy(parameters.data(), buffer, bytes);
    return;
  }
  require(request.arguments != nullptr, "the kernel has parameters, but no arguments were given");
  for (std::size_t i = 0; i < code.parameters.size(); ++i) {
    require(request.arguments[i] != nullptr, "the pointer to an argument is null");
    std::memcpy(parameters.data() + code.parameters[i].offset, request.arguments[i],
                code.parameters[i].bytes);
  }
}

}  // namespace

Kernel& find_kernel(Call& call, const void* function) {
  Kernel* const kernel = call.runtime.programs.kernel(function);
  require(kernel != nullptr, "the pointer is no kernel of a registered module",
          cudaErrorInvalidDeviceFunction);
  return *kernel;
}

KernelOperation make_launch(Call& call, Device& device, const LaunchRequest& request) {
  Kernel& kernel = find_kernel(call, request.function);
  const Code& code = kernel.code(device);
  const cudaDeviceProp& p = device.properties();
  check_grid(p, request, code);
  check_shared(p, request, kernel, code);
  KernelOperation launch;
  launch.kernel = &kernel;
  launch.program = &kernel.program(device);
  launch.code = &code;
  launch.function = request.function;
  launch.grid = dimensions(request.grid);
  launch.block = dimensions(request.block);
  launch.cluster = dimensions(check_cluster(p, request, kernel, code));
  launch.dynamic_shared_bytes = static_cast<std::uint32_t>(request.shared_bytes);
  launch.cooperative = request.cooperative;
  launch.priority = request.priority;
  if (request.cooperative) {
    const int resident =
        resident_blocks(device, code, static_cast<int>(launch.block.count()), request.shared_bytes);
    const std::uint64_t most =
        static_cast<std::uint64_t>(resident) * static_cast<std::uint64_t>(p.multiProcessorCount);
    if (launch.grid.count() > most) {
      throw ApiError(cudaErrorCooperativeLaunchTooLarge,
                     "kernel " + code.demangled + ": " + std::to_string(launch.grid.count()) +
                         " blocks; the device holds " + std::to_string(most) + " at once");
    }
  }
  copy_arguments(request, code, launch.parameters);
  return launch;
}

LaunchEvents read_attributes(const cudaLaunchAttribute* attributes, unsigned count,
                             LaunchRequest& request) {
  LaunchEvents events;
  require(count == 0 || attributes != nullptr, "the attributes are null");
  for (unsigned i = 0; i < count; ++i) {
    const cudaLaunchAttributeValue& value = attributes[i].val;
    switch (attributes[i].id) {
      case cudaLaunchAttributeClusterDimension:
        request.cluster = dim3(value.clusterDim.x, value.clusterDim.y, value.clusterDim.z);
        break;
      case cudaLaunchAttributeCooperative:
        request.cooperative = value.cooperative != 0;
        break;
      case cudaLaunchAttributePriority:
        request.priority = value.priority;
        break;
      case cudaLaunchAttributeProgrammaticEvent:
        events.after = value.programmaticEvent.event;
        break;
      case cudaLaunchAttributeLaunchCompletionEvent:
        events.after = value.launchCompletionEvent.event;
        break;
      case cudaLaunchAttributeDeviceUpdatableKernelNode:
        require(value.deviceUpdatableKernelNode.deviceUpdatable == 0,
                "kernel nodes that the device updates are not supported", cudaErrorNotSupported);
        break;
      default:
        // The others ask for overlap, placement or caching: a launch that ignores them computes the
        // same.
        break;
    }
  }
  return events;
}

void launch_kernel(Call& call, cudaStream_t handle, const LaunchRequest& request,
                   const LaunchEvents& events) {
  Stream& stream = call.stream(handle);
  KernelOperation launch = make_launch(call, *stream.device, request);
  submit(call.lock, stream, std::move(launch));
  if (events.after == nullptr) return;
  const std::shared_ptr<Event> event = call.event(events.after);
  record(call.lock, stream, event, false);
}

}  // namespace ptx_emulator
