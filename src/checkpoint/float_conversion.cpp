#include "src/checkpoint/float_conversion.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "src/checkpoint/safetensors.h"
#include "src/core/error.h"

namespace ovid::checkpoint {
namespace {

// Calls convert(element) for each of `count` elements of type T at `source`, which may lie at any
// address.
template <class T, class Convert>
void convert_row(const std::byte* source, float* destination, std::int64_t count, Convert convert) {
  for (std::int64_t i = 0; i < count; ++i) {
    T element;
    std::memcpy(&element, source + static_cast<std::size_t>(i) * sizeof element, sizeof element);
    destination[i] = convert(element);
  }
}

float float_of_double(double value, std::string_view label) {
  if (std::isfinite(value) &&
      std::fabs(value) > static_cast<double>(std::numeric_limits<float>::max())) {
    throw CheckpointError(fmt::format("{}: the value {} is beyond float32's {}", label, value,
                                      std::numeric_limits<float>::max()));
  }
  return static_cast<float>(value);
}

}  // namespace

void read_as_float32(const StoredTensor& tensor, const kernels::View& destination,
                     std::string_view label) {
  if (destination.dtype() != kernels::DType::kFloat32 ||
      !same_shape(tensor.shape, destination.shape())) {
    throw CheckpointError(fmt::format(
        "{}: the file holds {} {}, wanted is {} {}", label, tensor.dtype, shape_text(tensor.shape),
        kernels::name_of(destination.dtype()), destination.shape().text()));
  }
  if (tensor.bytes.empty()) return;
  const std::int64_t rows = destination.rows(), columns = destination.columns();
  const std::size_t row_bytes = tensor.bytes.size() / static_cast<std::size_t>(rows);
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::byte* source = tensor.bytes.data() + static_cast<std::size_t>(row) * row_bytes;
    float* target = destination.data<float>() + row * destination.row_stride();
    if (tensor.dtype == "F32") {
      std::memcpy(target, source, row_bytes);
    } else if (tensor.dtype == "F16") {
      convert_row<std::uint16_t>(source, target, columns, float_of_float16);
    } else if (tensor.dtype == "BF16") {
      convert_row<std::uint16_t>(source, target, columns, float_of_bfloat16);
    } else if (tensor.dtype == "F64") {
      convert_row<double>(source, target, columns,
                          [&](double x) { return float_of_double(x, label); });
    } else {
      throw CheckpointError(
          fmt::format("{}: dtype {} cannot be read as float32; convert it to F32, F16, BF16 or F64",
                      label, tensor.dtype));
    }
  }
}

}  // namespace ovid::checkpoint
