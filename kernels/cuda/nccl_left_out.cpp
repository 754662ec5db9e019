// In place of nccl_collectives.cpp where the build found no nccl.h.
#include "kernels/common/errors.h"
#include "kernels/cuda/device_collectives.h"

namespace ovid::kernels::cuda {

std::string collectives_unavailable() noexcept {
  return "several CUDA devices need NCCL, and this program was built without its header; install "
         "libnccl-dev (or the wheel nvidia-nccl-cu13) and build again";
}

CollectiveId make_collective_id() {
  throw DeviceError(collectives_unavailable());
}

std::unique_ptr<DeviceCollectives> open_collectives(Device&, const CollectiveGroup&) {
  throw DeviceError(collectives_unavailable());
}

}  // namespace ovid::kernels::cuda
