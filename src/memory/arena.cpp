#include "src/memory/arena.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "src/core/error.h"

namespace ovid::memory {
namespace {

std::size_t rounded_up(std::size_t bytes) {
  return (bytes + Arena::kAlignment - 1) / Arena::kAlignment * Arena::kAlignment;
}

}  // namespace

HostBuffer::HostBuffer(std::size_t bytes, std::string_view purpose) : size_(bytes) {
  if (bytes == 0) return;
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
  data_ = static_cast<std::byte*>(mapping);
}

HostBuffer::~HostBuffer() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

HostBuffer::HostBuffer(HostBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

HostBuffer& HostBuffer::operator=(HostBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Arena::Arena(std::string name, std::size_t bytes)
    : name_(std::move(name)), buffer_(bytes, name_), only_measures_(false) {}

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

kernels::View Arena::flat_float32() {
  return {only_measures_ ? nullptr : buffer_.bytes().data(), kernels::DType::kFloat32,
          kernels::Shape{static_cast<std::int64_t>(used_ / sizeof(float))}};
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
