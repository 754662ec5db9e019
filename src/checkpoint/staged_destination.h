#pragma once

#include <vector>

#include "src/checkpoint/hugging_face_model.h"
#include "src/memory/transfer.h"

namespace ovid::checkpoint {

// Calls fill(view) with a float32 view in host memory, and has what it wrote in the destination on
// return: the destination itself, or memory of this call that is then copied to its device.
template <class Fill>
void fill_destination(const NamedDestination& destination, Fill&& fill) {
  const kernels::View& view = destination.view;
  if (destination.device == nullptr) return fill(view);
  std::vector<float> staged(static_cast<std::size_t>(view.elements()));
  const kernels::View host(staged.data(), kernels::DType::kFloat32, view.shape());
  fill(host);
  memory::copy_to_device(destination.device, view, host);
  memory::synchronize(destination.device);
}

}  // namespace ovid::checkpoint
