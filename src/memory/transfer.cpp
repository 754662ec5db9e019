#include "src/memory/transfer.h"

#include <cstring>
#include <stdexcept>

#include "kernels/cuda/device.h"

namespace ovid::memory {
namespace {

using kernels::ConstView;
using kernels::View;

struct Rows {
  std::size_t count, bytes, to_stride, from_stride;
};

Rows rows_of(const View& to, const ConstView& from) {
  if (to.dtype() != from.dtype() || !(to.shape() == from.shape())) {
    throw std::logic_error("a copy between tensors of " + to.shape().text() + " and " +
                           from.shape().text());
  }
  const std::size_t element = bytes_of(to.dtype());
  const auto bytes = [element](std::int64_t count) {
    return static_cast<std::size_t>(count) * element;
  };
  if (to.contiguous() && from.contiguous()) {
    return {.count = 1,
            .bytes = bytes(to.elements()),
            .to_stride = bytes(to.elements()),
            .from_stride = bytes(to.elements())};
  }
  return {.count = static_cast<std::size_t>(to.rows()),
          .bytes = bytes(to.columns()),
          .to_stride = bytes(to.row_stride()),
          .from_stride = bytes(from.row_stride())};
}

void copy_on_host(const View& to, const ConstView& from, const Rows& rows) {
  auto* target = static_cast<std::byte*>(to.raw());
  const auto* source = static_cast<const std::byte*>(from.raw());
  for (std::size_t row = 0; row < rows.count && rows.bytes > 0; ++row) {
    std::memcpy(target + row * rows.to_stride, source + row * rows.from_stride, rows.bytes);
  }
}

}  // namespace

void copy_to_device(kernels::cuda::Device* device, const View& to, const ConstView& from) {
  const Rows rows = rows_of(to, from);
  if (device == nullptr) return copy_on_host(to, from, rows);
  if (rows.count == 1) return device->copy_to_device(to.raw(), from.raw(), rows.bytes);
  device->copy_rows(to.raw(), rows.to_stride, from.raw(), rows.from_stride, rows.bytes, rows.count);
}

void copy_to_host(kernels::cuda::Device* device, const View& to, const ConstView& from) {
  const Rows rows = rows_of(to, from);
  if (device == nullptr) return copy_on_host(to, from, rows);
  if (rows.count == 1) return device->copy_to_host(to.raw(), from.raw(), rows.bytes);
  device->copy_rows(to.raw(), rows.to_stride, from.raw(), rows.from_stride, rows.bytes, rows.count);
}

void copy_on_device(kernels::cuda::Device* device, const View& to, const ConstView& from) {
  const Rows rows = rows_of(to, from);
  if (device == nullptr) return copy_on_host(to, from, rows);
  if (rows.count == 1) return device->copy_on_device(to.raw(), from.raw(), rows.bytes);
  device->copy_rows(to.raw(), rows.to_stride, from.raw(), rows.from_stride, rows.bytes, rows.count);
}

void synchronize(kernels::cuda::Device* device) {
  if (device != nullptr) device->synchronize();
}

}  // namespace ovid::memory
