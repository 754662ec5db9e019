#pragma once

#include <memory>
#include <string>

#include "kernels/cuda/device.h"
#include "src/memory/compute_target.h"

namespace ovid::memory {

// What a user asks for. kAuto: a GPU where one works, else the CPU.
enum class DeviceRequest { kAuto, kCpu, kCuda };

// A target with the device that it points to, if any.
struct OpenTarget {
  ComputeTarget target;
  std::unique_ptr<kernels::cuda::Device> device;  // null on the CPU
  // "CPU, 8 threads" or "NVIDIA A100-SXM4-80GB (device 0, compute capability 8.0)".
  std::string description;
  // With kAuto on the CPU: why no GPU was taken. Else empty.
  std::string reason;
};

struct TargetRequest {
  DeviceRequest device = DeviceRequest::kAuto;
  int index = 0;    // of the CUDA device
  int threads = 0;  // 0: all that this process may use
  kernels::DType dtype = kernels::DType::kFloat32;
};

// Chooses and opens. Throws ResourceError where kCuda was asked for and cannot be had, or the index
// names no device; UsageError for a number type that the chosen target does not compute in.
OpenTarget open_target(const TargetRequest& request);

// As open_target, but where kCuda was asked for and cannot be had, a target of that kind without a
// device: enough to plan memory for a machine that has one.
OpenTarget plan_target(const TargetRequest& request);

}  // namespace ovid::memory
