#include "src/training/batch_feed.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "src/memory/transfer.h"

namespace ovid::training {
namespace {

using kernels::ConstView;
using kernels::DType;
using kernels::Shape;
using kernels::View;

struct Layout {
  View losses, slots;
};

Layout lay_out(memory::Arena& arena, bool on_device, std::int64_t positions, std::int64_t slots) {
  const View losses = arena.take("losses of a step", DType::kFloat32, Shape{positions});
  const std::int64_t numbers = on_device ? slots * 2 * positions : 0;
  return {losses, arena.take("tokens and targets", DType::kInt32, Shape{numbers})};
}

}  // namespace

std::size_t BatchFeed::bytes(bool on_device, std::int64_t positions) {
  return memory::measure(
      [&](memory::Arena& arena) { lay_out(arena, on_device, positions, kSlots); });
}

std::size_t BatchFeed::pinned_bytes(bool on_device, std::int64_t positions) {
  constexpr std::size_t kNumbers = 2 * kSlots + 1;  // tokens and targets of each slot; losses
  return on_device ? kNumbers * sizeof(std::int32_t) * static_cast<std::size_t>(positions) : 0;
}

BatchFeed::BatchFeed(kernels::cuda::Device* device, std::int64_t positions)
    : device_(device),
      positions_(positions),
      arena_("tokens and losses", bytes(device != nullptr, positions), device),
      losses_(nullptr, DType::kFloat32, Shape{}),
      device_slots_(nullptr, DType::kInt32, Shape{}) {
  const Layout layout = lay_out(arena_, device != nullptr, positions, kSlots);
  losses_ = layout.losses;
  device_slots_ = layout.slots;
  if (device == nullptr) return;
  const std::size_t bytes = static_cast<std::size_t>(positions) * sizeof(std::int32_t);
  for (Slot& slot : slots_) {
    slot.pinned = memory::TransferBuffer(2 * bytes, "tokens of a step", device);
    slot.copied = device->make_event();
    slot.read = device->make_event();
  }
  host_losses_ = memory::TransferBuffer(bytes, "losses of a step", device);
}

View BatchFeed::slot_view(std::size_t slot, bool targets, std::int64_t count) const {
  const std::int64_t offset =
      (static_cast<std::int64_t>(2 * slot) + (targets ? 1 : 0)) * positions_;
  return {device_slots_.data<std::int32_t>() + offset, DType::kInt32, Shape{count}};
}

void BatchFeed::upload(const data::TokenBatch& batch) {
  slot_ = (slot_ + 1) % kSlots;
  Slot& slot = slots_[slot_];
  // Two steps ago: both are long done, so that nothing waits here in practice.
  if (slot.used) {
    device_->synchronize(*slot.copied);
    device_->wait(kernels::cuda::Queue::kCopy, *slot.read);
  }
  auto* const pinned = reinterpret_cast<std::int32_t*>(slot.pinned.bytes().data());
  const std::size_t bytes = static_cast<std::size_t>(count_) * sizeof(std::int32_t);
  std::copy_n(batch.tokens.data(), count_, pinned);
  std::copy_n(batch.targets.data(), count_, pinned + count_);
  const View tokens = slot_view(slot_, false, count_), targets = slot_view(slot_, true, count_);
  device_->copy_to_device(tokens.raw(), pinned, bytes, kernels::cuda::Queue::kCopy);
  device_->copy_to_device(targets.raw(), pinned + count_, bytes, kernels::cuda::Queue::kCopy);
  device_->record(*slot.copied, kernels::cuda::Queue::kCopy);
  device_->wait(kernels::cuda::Queue::kCompute, *slot.copied);
  slot.used = true;
  tokens_ = tokens.data<std::int32_t>();
  targets_ = targets.data<std::int32_t>();
}

void BatchFeed::begin(const data::TokenBatch& batch) {
  count_ = batch.count * batch.length;
  if (count_ > positions_) {
    throw std::logic_error(
        fmt::format("a batch of {} tokens, at most {} were planned", count_, positions_));
  }
  tokens_ = batch.tokens.data();
  targets_ = batch.targets.data();
  if (device_ != nullptr && count_ > 0) upload(batch);
}

ConstView BatchFeed::tokens(std::int64_t first, const model::BatchShape& shape) const {
  return {tokens_ + first * shape.length, DType::kInt32, Shape{shape.sequences, shape.length}};
}

ConstView BatchFeed::targets(std::int64_t first, const model::BatchShape& shape) const {
  return {targets_ + first * shape.length, DType::kInt32, Shape{shape.sequences, shape.length}};
}

View BatchFeed::losses(std::int64_t first, const model::BatchShape& shape) const {
  return {losses_.data<float>() + first * shape.length, DType::kFloat32, Shape{shape.rows()}};
}

void BatchFeed::end() {
  if (device_ == nullptr || count_ == 0) return;
  device_->record(*slots_[slot_].read, kernels::cuda::Queue::kCompute);
  const View host(host_losses_.bytes().data(), DType::kFloat32, Shape{count_});
  memory::copy_to_host(device_, host, {losses_.raw(), DType::kFloat32, Shape{count_}});
}

double BatchFeed::loss_sum(std::int64_t first, std::int64_t count) const {
  const float* losses = device_ == nullptr
                            ? losses_.data<float>()
                            : reinterpret_cast<const float*>(host_losses_.bytes().data());
  double sum = 0;
  for (std::int64_t i = first; i < first + count; ++i) sum += static_cast<double>(losses[i]);
  return sum;
}

}  // namespace ovid::training
