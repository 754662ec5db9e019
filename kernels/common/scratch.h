#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>

#include "kernels/common/errors.h"

namespace ovid::kernels {

class ExecutionContext;

// Memory for what an op needs only while it runs. A stack: frames are taken and given back in
// order. The memory belongs to whoever made the arena; in a dry run there is none, and only the
// high-water mark is kept.
class ScratchArena {
 public:
  static constexpr std::size_t kAlignment = 64;  // a cache line, and the widest vector

  ScratchArena() = default;  // measures only
  explicit ScratchArena(std::span<std::byte> memory) : memory_(memory) {}

  std::size_t high_water() const { return high_water_; }
  std::size_t capacity() const { return memory_.size(); }

 private:
  friend class ScratchFrame;
  std::span<std::byte> memory_;
  std::size_t used_ = 0;
  std::size_t high_water_ = 0;
};

// A scope of scratch. take() hands out uninitialised, 64-byte aligned arrays until the scope ends.
//   ScratchFrame scratch(ctx);
//   std::span<float> sums = scratch.take<float>(columns * blocks);
// Throws DeviceError where the arena is too small (a planner's bug). In a dry run the spans have
// the right size and a null address.
class ScratchFrame {
 public:
  explicit ScratchFrame(ExecutionContext& ctx);
  ~ScratchFrame() { arena_.used_ = start_; }
  ScratchFrame(const ScratchFrame&) = delete;
  ScratchFrame& operator=(const ScratchFrame&) = delete;

  template <class T>
  std::span<T> take(std::int64_t count) {
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
    const std::size_t rounded = (bytes + ScratchArena::kAlignment - 1) / ScratchArena::kAlignment *
                                ScratchArena::kAlignment;
    const std::size_t offset = arena_.used_;
    arena_.used_ += rounded;
    if (arena_.used_ > arena_.high_water_) arena_.high_water_ = arena_.used_;
    if (measures_) return {static_cast<T*>(nullptr), static_cast<std::size_t>(count)};
    if (arena_.used_ > arena_.memory_.size()) {
      throw DeviceError("scratch arena too small: " + std::to_string(arena_.used_) +
                        " bytes needed, " + std::to_string(arena_.memory_.size()) + " planned");
    }
    return {reinterpret_cast<T*>(arena_.memory_.data() + offset), static_cast<std::size_t>(count)};
  }

 private:
  ScratchArena& arena_;
  std::size_t start_;
  bool measures_;
};

}  // namespace ovid::kernels
