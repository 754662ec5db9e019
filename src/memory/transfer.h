#pragma once

#include "kernels/common/view.h"

namespace ovid::kernels::cuda {
class Device;
}

namespace ovid::memory {

// Copies between tensors of one shape and dtype, wherever rows lie. With `device` null both are
// host memory and the copy is done on return; else it is enqueued on the device's compute queue,
// and the host's side may be touched again after device->synchronize().
void copy_to_device(kernels::cuda::Device* device, const kernels::View& to,
                    const kernels::ConstView& from);
void copy_to_host(kernels::cuda::Device* device, const kernels::View& to,
                  const kernels::ConstView& from);

// From one place of the target's own memory to another.
void copy_on_device(kernels::cuda::Device* device, const kernels::View& to,
                    const kernels::ConstView& from);

// Waits for everything that was enqueued; nothing where `device` is null.
void synchronize(kernels::cuda::Device* device);

}  // namespace ovid::memory
