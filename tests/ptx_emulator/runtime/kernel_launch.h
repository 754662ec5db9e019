#pragma once
// From the arguments of a launch to a queued kernel.

#include "tests/ptx_emulator/runtime/runtime.h"

namespace ptx_emulator {

struct LaunchRequest {
  const void* function = nullptr;  // host function, cudaKernel_t or cudaFunction_t
  dim3 grid, block, cluster;
  std::size_t shared_bytes = 0;
  bool cooperative = false;
  int priority = 0;
  void** arguments = nullptr;  // a pointer to each parameter's value
  void** extra = nullptr;      // or packed: CU_LAUNCH_PARAM_BUFFER_POINTER and its like
};

// Finds the kernel. Throws ApiError (invalid device function).
Kernel& find_kernel(Call& call, const void* function);
// Checks everything that the runtime checks before a launch and copies the arguments. Throws
// ApiError.
KernelOperation make_launch(Call& call, Device& device, const LaunchRequest& request);
// Reads the attributes of a launch into the request; names those that are not supported.
struct LaunchEvents {
  cudaEvent_t after = nullptr;  // recorded behind the kernel
};
LaunchEvents read_attributes(const cudaLaunchAttribute* attributes, unsigned count,
                             LaunchRequest& request);
// Queues the kernel on the stream.
void launch_kernel(Call& call, cudaStream_t stream, const LaunchRequest& request,
                   const LaunchEvents& events = {});

}  // namespace ptx_emulator
