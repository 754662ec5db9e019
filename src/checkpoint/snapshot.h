#pragma once

#include <cstdint>

#include "src/checkpoint/run_checkpoint.h"
#include "src/memory/arena.h"

namespace ovid::checkpoint {

// A deep copy of a checkpoint's content in host memory: tensors without the padding of their rows,
// and texts. The memory is kept from one copy to the next and grows only where a content needs
// more; tensors of a device come into pinned memory, which takes them at the speed of the bus.
class Snapshot {
 public:
  // Takes the memory for a copy of `content`, and has the system back it with real pages now, on
  // `threads` threads. Throws ResourceError where the machine has not the memory.
  void prepare(const CheckpointContent& content, int threads);

  // Copies on `threads` threads; the content before is gone. Waits for the device whose tensors
  // they are. Throws ResourceError where the machine has not the memory.
  void copy(const CheckpointContent& content, int threads);

  // The tensors point into this object.
  const CheckpointContent& content() const { return content_; }
  std::uint64_t held_bytes() const { return held_bytes_; }

 private:
  void reserve(std::uint64_t bytes, kernels::cuda::Device* device);

  memory::TransferBuffer buffer_;
  std::uint64_t held_bytes_ = 0;
  CheckpointContent content_;
};

}  // namespace ovid::checkpoint
