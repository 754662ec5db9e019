#include "tests/ptx_emulator/machine/device_heap.h"

#include "tests/ptx_emulator/machine/text.h"

namespace ptx_emulator {

DeviceHeap::~DeviceHeap() {
  if (allocation_ != nullptr) memory_.release(allocation_->begin);
}

std::uint64_t DeviceHeap::allocate(std::uint64_t bytes) {
  const std::lock_guard<std::mutex> hold(lock_);
  if (bytes > bytes_) return 0;
  if (allocation_ == nullptr) {
    allocation_ = memory_.allocate(bytes_, MemoryKind::kDevice, "the heap of malloc() in kernels");
    if (allocation_ == nullptr) return 0;
    unused_.emplace(allocation_->begin, allocation_->end - allocation_->begin);
  }
  const std::uint64_t needed = bytes < 16 ? 16 : (bytes + 15) / 16 * 16;
  for (auto range = unused_.begin(); range != unused_.end(); ++range) {
    if (range->second < needed) continue;
    const auto [begin, available] = *range;
    unused_.erase(range);
    if (available > needed) unused_.emplace(begin + needed, available - needed);
    used_.emplace(begin, needed);
    return begin;
  }
  return 0;
}

std::string DeviceHeap::release(std::uint64_t address) {
  const std::lock_guard<std::mutex> hold(lock_);
  if (address == 0) return {};
  const auto found = used_.find(address);
  if (found == used_.end()) {
    return "free of " + hexadecimal(address) +
           ", which malloc() did not return or which is free already";
  }
  std::uint64_t begin = found->first, bytes = found->second;
  used_.erase(found);
  auto next = unused_.lower_bound(begin);
  if (next != unused_.end() && next->first == begin + bytes) {
    bytes += next->second;
    next = unused_.erase(next);
  }
  if (next != unused_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == begin) {
      before->second += bytes;
      return {};
    }
  }
  unused_.emplace(begin, bytes);
  return {};
}

}  // namespace ptx_emulator
