#include "tests/ptx_emulator/stand_ins/support/matrix_access.h"

#include <cstring>
#include <string>
#include <type_traits>

#include "tests/ptx_emulator/stand_ins/support/runtime_link.h"

namespace ptx_emulator::stand_ins {
namespace {

[[noreturn]] void too_large(const char* what) {
  throw OperandFault(kCudaErrorIllegalAddress,
                     std::string(what) + ": its extent overflows 64 bits");
}

template <class Real>
void round_values(InputRounding rounding, Real* values, std::size_t count) {
  if (rounding == InputRounding::kNone) return;
  for (std::size_t i = 0; i < count; ++i) {
    if (rounding == InputRounding::kTf32) {
      values[i] = static_cast<Real>(round_to_tf32(static_cast<float>(values[i])));
    } else {
      const NumberFormat format =
          rounding == InputRounding::kFloat16 ? NumberFormat::kFloat16 : NumberFormat::kBfloat16;
      values[i] = static_cast<Real>(round_to(format, static_cast<double>(values[i])));
    }
  }
}

template <class Real>
constexpr NumberFormat kFormatOf =
    std::is_same_v<Real, float> ? NumberFormat::kFloat32 : NumberFormat::kFloat64;

}  // namespace

std::size_t extent_bytes(const Matrix& matrix) {
  if (matrix.rows <= 0 || matrix.cols <= 0) return 0;
  std::int64_t elements = 0;
  if (__builtin_mul_overflow(matrix.stored_cols() - 1, matrix.ld, &elements) ||
      __builtin_add_overflow(elements, matrix.stored_rows(), &elements) ||
      __builtin_mul_overflow(elements, static_cast<std::int64_t>(bytes_of(matrix.format)),
                             &elements) ||
      elements < 0) {
    too_large("matrix");
  }
  return static_cast<std::size_t>(elements);
}

const std::byte* device_address(const Matrix& matrix, std::int64_t index, const char* what) {
  const void* device = matrix.data;
  if (matrix.pointer_array) {
    // The whole array up to this entry has to be there; entries are read one by one.
    const auto* const entry = static_cast<const void* const*>(matrix.data) + index;
    std::memcpy(&device, host_pointer(entry, sizeof(void*), "array of matrix pointers"),
                sizeof device);
  } else {
    std::int64_t offset = 0;
    if (__builtin_mul_overflow(matrix.batch_stride, index, &offset) ||
        __builtin_mul_overflow(offset, static_cast<std::int64_t>(bytes_of(matrix.format)),
                               &offset)) {
      too_large(what);
    }
    device = static_cast<const std::byte*>(device) + offset;
  }
  return static_cast<const std::byte*>(device);
}

std::byte* matrix_address(const Matrix& matrix, std::int64_t index, const char* what) {
  return static_cast<std::byte*>(
      host_pointer(device_address(matrix, index, what), extent_bytes(matrix), what));
}

template <class Real>
DenseMatrix<Real> read_matrix(const Matrix& matrix, std::int64_t index, InputRounding rounding,
                              const char* what) {
  const std::byte* const from = matrix_address(matrix, index, what);
  DenseMatrix<Real> dense;
  if (matrix.format == kFormatOf<Real> && rounding == InputRounding::kNone &&
      reinterpret_cast<std::uintptr_t>(from) % sizeof(Real) == 0) {
    dense.data = reinterpret_cast<const Real*>(from);
    dense.ld = matrix.ld;
    return dense;
  }
  const auto rows = static_cast<std::size_t>(matrix.stored_rows());
  const auto cols = static_cast<std::size_t>(matrix.stored_cols());
  dense.copy.resize(rows * cols);
  const std::size_t step = static_cast<std::size_t>(matrix.ld) * bytes_of(matrix.format);
  for (std::size_t j = 0; j < cols; ++j) {
    load(matrix.format, from + j * step, rows, dense.copy.data() + j * rows);
  }
  round_values(rounding, dense.copy.data(), dense.copy.size());
  dense.data = dense.copy.data();
  dense.ld = matrix.stored_rows() > 0 ? matrix.stored_rows() : 1;
  return dense;
}

template <class Real>
void write_matrix(const Matrix& matrix, std::int64_t index, const Real* values, const char* what) {
  std::byte* const to = matrix_address(matrix, index, what);
  const auto rows = static_cast<std::size_t>(matrix.rows);
  const auto cols = static_cast<std::size_t>(matrix.cols);
  const std::size_t step = static_cast<std::size_t>(matrix.ld) * bytes_of(matrix.format);
  const std::byte* const device = device_address(matrix, index, what);
  const std::size_t run = static_cast<std::size_t>(matrix.stored_rows()) * bytes_of(matrix.format);
  for (std::int64_t j = 0; j < matrix.stored_cols(); ++j) {
    note_written(device + static_cast<std::size_t>(j) * step, run);
  }
  if (!matrix.row_major) {
    for (std::size_t j = 0; j < cols; ++j)
      store(matrix.format, values + j * rows, rows, to + j * step);
    return;
  }
  std::vector<Real> row(cols);
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < cols; ++j) row[j] = values[i + j * rows];
    store(matrix.format, row.data(), cols, to + i * step);
  }
}

double read_number(const void* device, NumberFormat format, const char* what) {
  double value = 0;
  load(format, host_pointer(device, bytes_of(format), what), 1, &value);
  return value;
}

void write_float(void* device, double value, const char* what) {
  const auto narrow = static_cast<float>(value);
  std::memcpy(writable_pointer(device, sizeof narrow, what), &narrow, sizeof narrow);
}

template DenseMatrix<float> read_matrix<float>(const Matrix&, std::int64_t, InputRounding,
                                               const char*);
template DenseMatrix<double> read_matrix<double>(const Matrix&, std::int64_t, InputRounding,
                                                 const char*);
template void write_matrix<float>(const Matrix&, std::int64_t, const float*, const char*);
template void write_matrix<double>(const Matrix&, std::int64_t, const double*, const char*);

}  // namespace ptx_emulator::stand_ins
