#include "src/memory/arena.h"

#include <fmt/format.h>

#include <stdexcept>

namespace ovid::memory {
namespace {

std::size_t rounded_up(std::size_t bytes) {
  return (bytes + Arena::kAlignment - 1) / Arena::kAlignment * Arena::kAlignment;
}

}  // namespace

Arena::Arena(std::string name, std::size_t bytes, kernels::cuda::Device* device)
    : name_(std::move(name)), buffer_(bytes, name_, device), only_measures_(false) {}

void* Arena::advance(std::string_view tensor, std::size_t bytes) {
  const std::size_t offset = used_;
  used_ += rounded_up(bytes);
  entries_.push_back({std::string(tensor), offset, bytes});
  if (only_measures_) return nullptr;
  if (used_ > buffer_.bytes().size()) {
    throw std::logic_error(fmt::format("arena {}: {} does not fit, {} bytes were measured", name_,
                                       tensor, buffer_.bytes().size()));
  }
  return buffer_.bytes().data() + offset;
}

kernels::View Arena::take(std::string_view tensor, kernels::DType dtype, kernels::Shape shape,
                          std::int64_t reserved_rows) {
  const std::int64_t elements = shape.elements() + reserved_rows * shape.last();
  return {advance(tensor, static_cast<std::size_t>(elements) * bytes_of(dtype)), dtype, shape};
}

kernels::View Arena::take_padded(std::string_view tensor, kernels::DType dtype,
                                 kernels::Shape shape, std::int64_t row_stride) {
  const std::int64_t elements = shape.rows() * row_stride;
  return {advance(tensor, static_cast<std::size_t>(elements) * bytes_of(dtype)), dtype, shape,
          row_stride};
}

kernels::View Arena::flat(kernels::DType dtype) {
  return {only_measures_ ? nullptr : buffer_.bytes().data(), dtype,
          kernels::Shape{static_cast<std::int64_t>(used_ / bytes_of(dtype))}};
}

}  // namespace ovid::memory
