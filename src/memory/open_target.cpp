#include "src/memory/open_target.h"

#include <fmt/format.h>

#include "kernels/common/errors.h"
#include "kernels/cpu/parallel_for.h"
#include "kernels/cuda_backend/backend.h"
#include "src/core/error.h"

namespace ovid::memory {
namespace {

void open_device(OpenTarget& open, int index) {
  try {
    open.device = kernels::cuda::open_device(index);
  } catch (const kernels::DeviceError& error) {
    throw ResourceError(error.what());
  }
  const kernels::cuda::DeviceProperties& p = open.device->properties();
  open.target.kind = kernels::DeviceKind::kCuda;
  open.target.device = open.device.get();
  open.description =
      fmt::format("{} (device {}, compute capability {}.{})", p.name, p.index, p.major, p.minor);
}

}  // namespace

OpenTarget open_target(const TargetRequest& request) {
  OpenTarget open;
  open.target.threads = request.threads > 0 ? request.threads : kernels::cpu::available_threads();
  open.target.dtype = request.dtype;
  if (request.device != DeviceRequest::kCpu) {
    const kernels::cuda::Availability available = kernels::cuda::availability();
    if (available.devices > 0) {
      open_device(open, request.index);
      return open;
    }
    if (request.device == DeviceRequest::kCuda) throw ResourceError(available.reason);
    open.reason = available.reason;
  }
  if (request.dtype != kernels::DType::kFloat32) {
    throw UsageError(
        fmt::format("{} is computed by GPUs only, and this runs on the CPU{}; use float32",
                    name_of(request.dtype), open.reason.empty() ? "" : " (" + open.reason + ")"));
  }
  open.description =
      fmt::format("CPU, {} thread{}", open.target.threads, open.target.threads == 1 ? "" : "s");
  return open;
}

OpenTarget plan_target(const TargetRequest& request) {
  if (request.device != DeviceRequest::kCuda) return open_target(request);
  const kernels::cuda::Availability available = kernels::cuda::availability();
  if (available.devices > 0) return open_target(request);
  OpenTarget open;
  open.target.kind = kernels::DeviceKind::kCuda;
  open.target.threads = request.threads > 0 ? request.threads : kernels::cpu::available_threads();
  open.target.dtype = request.dtype;
  open.description = "a GPU that this machine does not have";
  open.reason = available.reason;
  return open;
}

}  // namespace ovid::memory
