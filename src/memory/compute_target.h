#pragma once

#include "kernels/common/dtype.h"
#include "kernels/common/execution_context.h"

namespace ovid::memory {

// Where a computation runs, and in which numbers.
struct ComputeTarget {
  kernels::DeviceKind kind = kernels::DeviceKind::kCpu;
  // The device of kind kCuda. Null on the CPU, and where only memory is planned.
  kernels::cuda::Device* device = nullptr;
  int threads = 1;  // of the CPU: those that compute, or that serve a device
  // Of activations, and of the weights that products read.
  kernels::DType dtype = kernels::DType::kFloat32;
  // Whether products of float32 may round their factors to TF32 (10 bits of significand).
  bool tfloat32 = false;
};

}  // namespace ovid::memory
