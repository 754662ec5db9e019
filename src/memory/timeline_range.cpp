#include "src/memory/timeline_range.h"

#include "kernels/cuda/device.h"

namespace ovid::memory {

TimelineRange::TimelineRange(kernels::cuda::Device* device, const char* name) : device_(device) {
  if (device_ != nullptr) device_->push_range(name);
}

TimelineRange::~TimelineRange() {
  if (device_ != nullptr) device_->pop_range();
}

}  // namespace ovid::memory
