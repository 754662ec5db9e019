#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/common/view.h"
#include "src/memory/buffer.h"

namespace ovid::memory {

// Memory for many tensors, laid out one after another by a function that is run twice: first on an
// arena that only measures (its views have a null address), then on one of the measured size. So a
// plan and the memory cannot disagree, and planning needs no memory.
//   const std::size_t bytes = measure([&](Arena& arena) { lay_out(arena); });
class Arena {
 public:
  static constexpr std::size_t kAlignment = 64;  // a cache line, and the widest vector

  struct Entry {
    std::string name;
    std::size_t offset = 0;
    std::size_t bytes = 0;
  };

  explicit Arena(std::string name) : name_(std::move(name)) {}  // measures only
  // In the memory of `device`; null: the host's. Throws ResourceError.
  Arena(std::string name, std::size_t bytes, kernels::cuda::Device* device = nullptr);

  // The next tensor. `reserved_rows` more rows lie behind it, zero for good. Throws
  // std::logic_error where the arena was measured smaller.
  kernels::View take(std::string_view tensor, kernels::DType dtype, kernels::Shape shape,
                     std::int64_t reserved_rows = 0);
  // As take, with rows `row_stride` elements apart.
  kernels::View take_padded(std::string_view tensor, kernels::DType dtype, kernels::Shape shape,
                            std::int64_t row_stride);

  // All that was taken so far as one row of numbers of one type; padding between tensors is zero.
  kernels::View flat(kernels::DType dtype);

  // Null: the tensors are in host memory.
  kernels::cuda::Device* device() const { return buffer_.device(); }
  bool only_measures() const { return only_measures_; }
  std::size_t used_bytes() const { return used_; }
  const std::string& name() const { return name_; }
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  void* advance(std::string_view tensor, std::size_t bytes);

  std::string name_;
  Buffer buffer_;
  std::vector<Entry> entries_;
  std::size_t used_ = 0;
  bool only_measures_ = true;
};

template <class LayOut>
std::size_t measure(LayOut&& lay_out) {
  Arena arena("measure");
  lay_out(arena);
  return arena.used_bytes();
}

}  // namespace ovid::memory
