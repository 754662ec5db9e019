#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace ovid::kernels::cuda {
class Device;
}

namespace ovid::memory {

// Zeroed memory of the host (page-aligned) or of a device (256-byte aligned). Moves, does not copy.
// Throws ResourceError where there is not so much; the message names `purpose`.
class Buffer {
 public:
  Buffer() = default;
  // `device` null: host memory. A device must outlive the buffer.
  Buffer(std::size_t bytes, std::string_view purpose, kernels::cuda::Device* device = nullptr);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;

  // Of a device's memory the addresses alone mean something to the host.
  std::span<std::byte> bytes() { return {data_, size_}; }
  kernels::cuda::Device* device() const { return device_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  kernels::cuda::Device* device_ = nullptr;
};

// Zeroed host memory from which and into which a device copies while the host goes on; without a
// device plain host memory. Moves, does not copy. Throws ResourceError.
class TransferBuffer {
 public:
  TransferBuffer() = default;
  TransferBuffer(std::size_t bytes, std::string_view purpose, kernels::cuda::Device* device);
  ~TransferBuffer();
  TransferBuffer(TransferBuffer&& other) noexcept;
  TransferBuffer& operator=(TransferBuffer&& other) noexcept;

  std::span<std::byte> bytes();
  std::span<const std::byte> bytes() const { return const_cast<TransferBuffer*>(this)->bytes(); }

 private:
  Buffer host_;                  // without a device
  std::byte* pinned_ = nullptr;  // with one
  std::size_t size_ = 0;
  kernels::cuda::Device* device_ = nullptr;
};

// "1.23 GiB", "512 B": sizes for people.
std::string readable_bytes(std::size_t bytes);

}  // namespace ovid::memory
