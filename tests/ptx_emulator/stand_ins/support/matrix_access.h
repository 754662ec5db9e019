#pragma once
// Operands of a product as host memory: bounds, batches, conversion.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/ptx_emulator/stand_ins/support/matrix_product.h"

namespace ptx_emulator::stand_ins {

// Bytes from the first to behind the last element of one matrix. Throws OperandFault where that
// overflows.
std::size_t extent_bytes(const Matrix& matrix);

// Device address of matrix number `index` of the batch.
const std::byte* device_address(const Matrix& matrix, std::int64_t index, const char* what);

// Host address of matrix number `index` of the batch, with its whole extent inside one allocation,
// else OperandFault.
std::byte* matrix_address(const Matrix& matrix, std::int64_t index, const char* what);

// Dense column-major copy of the stored matrix (stored_rows, stored_cols), or the matrix itself
// where no conversion is needed.
template <class Real>
struct DenseMatrix {
  const Real* data = nullptr;
  std::int64_t ld = 1;
  std::vector<Real> copy;
};
template <class Real>
DenseMatrix<Real> read_matrix(const Matrix& matrix, std::int64_t index, InputRounding rounding,
                              const char* what);

// Writes a dense column-major (rows, cols) array, rounding once.
template <class Real>
void write_matrix(const Matrix& matrix, std::int64_t index, const Real* values, const char* what);

// One element of device memory.
double read_number(const void* device, NumberFormat format, const char* what);
void write_float(void* device, double value, const char* what);

extern template DenseMatrix<float> read_matrix<float>(const Matrix&, std::int64_t, InputRounding,
                                                      const char*);
extern template DenseMatrix<double> read_matrix<double>(const Matrix&, std::int64_t, InputRounding,
                                                        const char*);
extern template void write_matrix<float>(const Matrix&, std::int64_t, const float*, const char*);
extern template void write_matrix<double>(const Matrix&, std::int64_t, const double*, const char*);

}  // namespace ptx_emulator::stand_ins
