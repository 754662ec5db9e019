#include "src/checkpoint/range_reading.h"

#include <algorithm>

namespace ovid::checkpoint {
namespace {

// Elements of `stored` from `first` on, as a row of its own.
StoredTensor row_of(const StoredTensor& stored, PartName::Range stored_range, std::uint64_t first,
                    std::uint64_t count) {
  const std::uint64_t element = stored.bytes.size() / (stored_range.end - stored_range.begin);
  return {stored.dtype,
          {static_cast<std::int64_t>(count)},
          stored.bytes.subspan((first - stored_range.begin) * element, count * element)};
}

}  // namespace

void read_common_range(const StoredTensor& stored, PartName::Range stored_range,
                       PartName::Range wanted, const kernels::View& destination,
                       std::string_view label) {
  const std::uint64_t begin = std::max(stored_range.begin, wanted.begin);
  const std::uint64_t end = std::min(stored_range.end, wanted.end);
  if (begin >= end) return;
  const auto columns = static_cast<std::uint64_t>(destination.columns());
  const auto stride = static_cast<std::uint64_t>(destination.row_stride());
  for (std::uint64_t at = begin; at < end;) {
    const std::uint64_t index = at - wanted.begin;
    // Where rows are padded the range falls into pieces, one for each row that it touches.
    const std::uint64_t count =
        destination.contiguous() ? end - at : std::min(columns - index % columns, end - at);
    float* to = destination.data<float>() + index / columns * stride + index % columns;
    const kernels::Shape shape{static_cast<std::int64_t>(count)};
    read_as_float32(row_of(stored, stored_range, at, count), {to, kernels::DType::kFloat32, shape},
                    label);
    at += count;
  }
}

}  // namespace ovid::checkpoint
