#pragma once
// A runtime for the stand-ins' own tests: device memory is registered host memory, streams run
// everything at once.

#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace ptx_emulator::test {

// Memory that the stand-ins may touch: outside of it they must not.
class DeviceBuffer {
 public:
  explicit DeviceBuffer(std::size_t bytes);
  ~DeviceBuffer();
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  void* data_;
  std::size_t bytes_;
};

template <class Value>
class DeviceArray {
 public:
  explicit DeviceArray(const std::vector<Value>& values)
      : buffer_(values.size() * sizeof(Value)), size_(values.size()) {
    if (size_ > 0) std::memcpy(buffer_.data(), values.data(), buffer_.bytes());
  }
  Value* data() const { return static_cast<Value*>(buffer_.data()); }
  std::vector<Value> values() const { return std::vector<Value>(data(), data() + size_); }

 private:
  DeviceBuffer buffer_;
  std::size_t size_;
};

// Faults since the last call; the messages are taken away.
std::vector<std::string> take_faults();
// Keeps work back until run_queued(), as the real runtime does; off at first.
void defer_work(bool defer);
void run_queued();

}  // namespace ptx_emulator::test
