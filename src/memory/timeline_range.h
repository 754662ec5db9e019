#pragma once

namespace ovid::kernels::cuda {
class Device;
}

namespace ovid::memory {

// Names what is enqueued while it lives on the timeline of a GPU profiler; nothing where `device`
// is null.
class TimelineRange {
 public:
  TimelineRange(kernels::cuda::Device* device, const char* name);
  ~TimelineRange();
  TimelineRange(const TimelineRange&) = delete;
  TimelineRange& operator=(const TimelineRange&) = delete;

 private:
  kernels::cuda::Device* device_;
};

}  // namespace ovid::memory
