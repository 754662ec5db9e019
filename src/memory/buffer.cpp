#include "src/memory/buffer.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "kernels/common/errors.h"
#include "kernels/cuda/device.h"
#include "src/core/error.h"

namespace ovid::memory {
namespace {

std::byte* take_host_memory(std::size_t bytes, std::string_view purpose) {
  void* mapping =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) {
    throw ResourceError(
        fmt::format("cannot take {} of memory for {}: {}; choose a smaller model, or a smaller "
                    "batch.micro_sequences or batch.length",
                    readable_bytes(bytes), purpose, std::strerror(errno)));
  }
  // Large pages save address translations in matrix products; a refusal costs nothing but that.
  ::madvise(mapping, bytes, MADV_HUGEPAGE);
  return static_cast<std::byte*>(mapping);
}

// A device's want of memory is the user's resource, not a fault of the device.
template <class Take>
std::byte* take_device_memory(Take&& take) {
  try {
    return static_cast<std::byte*>(take());
  } catch (const kernels::DeviceMemoryError& error) {
    throw ResourceError(error.what());
  }
}

}  // namespace

Buffer::Buffer(std::size_t bytes, std::string_view purpose, kernels::cuda::Device* device)
    : size_(bytes), device_(device) {
  if (bytes == 0) return;
  data_ = device == nullptr ? take_host_memory(bytes, purpose)
                            : take_device_memory([&] { return device->allocate(bytes, purpose); });
}

Buffer::~Buffer() {
  if (data_ == nullptr) return;
  if (device_ != nullptr) {
    device_->release(data_);
  } else {
    ::munmap(data_, size_);
  }
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      device_(other.device_) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(device_, other.device_);
  return *this;
}

TransferBuffer::TransferBuffer(std::size_t bytes, std::string_view purpose,
                               kernels::cuda::Device* device)
    : size_(bytes), device_(device) {
  if (bytes == 0) return;
  if (device == nullptr) {
    host_ = Buffer(bytes, purpose);
  } else {
    pinned_ = take_device_memory([&] { return device->allocate_pinned(bytes, purpose); });
  }
}

TransferBuffer::~TransferBuffer() {
  if (pinned_ != nullptr) device_->release_pinned(pinned_);
}

TransferBuffer::TransferBuffer(TransferBuffer&& other) noexcept
    : host_(std::move(other.host_)),
      pinned_(std::exchange(other.pinned_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      device_(other.device_) {}

TransferBuffer& TransferBuffer::operator=(TransferBuffer&& other) noexcept {
  std::swap(host_, other.host_);
  std::swap(pinned_, other.pinned_);
  std::swap(size_, other.size_);
  std::swap(device_, other.device_);
  return *this;
}

std::span<std::byte> TransferBuffer::bytes() {
  return device_ == nullptr ? host_.bytes() : std::span<std::byte>(pinned_, size_);
}

std::string readable_bytes(std::size_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.2f} {}", value, kUnits[unit]);
}

}  // namespace ovid::memory
