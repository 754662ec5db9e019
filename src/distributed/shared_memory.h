#pragma once

#include <cstddef>
#include <span>

namespace ovid::distributed {

// Zeroed memory that processes share. It has no name: it goes to another process by inheritance of
// its descriptor or through a socket, and is gone with the last process that has it, however that
// ends. Its size cannot be changed. Moves, does not copy.
class SharedMemory {
 public:
  // Takes the memory at once. Throws ResourceError.
  static SharedMemory create(std::size_t bytes);
  // That of a descriptor that another process handed over; owns the descriptor. Throws UsageError
  // where it is not shared memory of that size.
  static SharedMemory open(int descriptor, std::size_t bytes);
  ~SharedMemory();
  SharedMemory(SharedMemory&& other) noexcept;
  SharedMemory& operator=(SharedMemory&&) = delete;

  std::span<std::byte> bytes() const { return {data_, size_}; }
  int descriptor() const { return descriptor_; }

 private:
  SharedMemory(int descriptor, std::size_t bytes);

  int descriptor_ = -1;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace ovid::distributed
