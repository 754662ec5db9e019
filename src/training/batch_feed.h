#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "kernels/common/view.h"
#include "kernels/cuda/device.h"
#include "src/data/token_loader.h"
#include "src/memory/arena.h"
#include "src/model/activations.h"

namespace ovid::training {

// Brings the tokens of each step to where they are computed on, and the losses of all its positions
// back. With a device, tokens go through two pinned buffers by the copy queue, so that those of a
// step travel while the update before it runs; without one, nothing is copied.
class BatchFeed {
 public:
  // `positions`: tokens of the largest step. Throws ResourceError.
  BatchFeed(kernels::cuda::Device* device, std::int64_t positions);

  // Bytes in the memory of the target, and of pinned memory beside it.
  static std::size_t bytes(bool on_device, std::int64_t positions);
  static std::size_t pinned_bytes(bool on_device, std::int64_t positions);

  // Takes over the batch of a step, which must stay as it is until the step's last loss_sum().
  // Enqueued.
  void begin(const data::TokenBatch& batch);

  // The part from sequence `first` on, as (sequences, length): of the batch in begin().
  kernels::ConstView tokens(std::int64_t first, const model::BatchShape& shape) const;
  kernels::ConstView targets(std::int64_t first, const model::BatchShape& shape) const;
  // (B T) float32: where the losses of that part are to be written.
  kernels::View losses(std::int64_t first, const model::BatchShape& shape) const;

  // Behind the last op that reads or writes them: sends the losses to the host. Enqueued.
  void end();
  // Of all positions, in their order; after the device was waited for.
  double loss_sum() const { return loss_sum(0, count_); }
  // Of sequence `index` of the batch alone.
  double loss_sum_of_sequence(std::int64_t index, std::int64_t length) const {
    return loss_sum(index * length, length);
  }

 private:
  static constexpr std::size_t kSlots = 2;
  struct Slot {
    memory::TransferBuffer pinned;  // tokens, then targets
    std::unique_ptr<kernels::cuda::Event> copied, read;
    bool used = false;
  };

  double loss_sum(std::int64_t first, std::int64_t count) const;
  kernels::View slot_view(std::size_t slot, bool targets, std::int64_t count) const;
  void upload(const data::TokenBatch& batch);

  kernels::cuda::Device* device_;
  std::int64_t positions_;
  memory::Arena arena_;
  kernels::View losses_;        // (positions)
  kernels::View device_slots_;  // (slots * 2 * positions) int32
  std::array<Slot, kSlots> slots_;
  memory::TransferBuffer host_losses_;
  std::size_t slot_ = 0;
  std::int64_t count_ = 0;                // positions of the batch
  const std::int32_t* tokens_ = nullptr;  // of the batch, where they are computed on
  const std::int32_t* targets_ = nullptr;
};

}  // namespace ovid::training
