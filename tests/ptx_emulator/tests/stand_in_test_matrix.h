#pragma once
// Matrices and descriptors for the tests of the stand-in of cuBLASLt.

#include <cublasLt.h>

#include <cstdint>
#include <memory>
#include <random>

#include "tests/catch.h"
#include "tests/ptx_emulator/stand_ins/support/number_format.h"
#include "tests/ptx_emulator/tests/runtime_double.h"

namespace ptx_emulator::test {

using namespace ptx_emulator::stand_ins;

// A batch of matrices in device memory, with the values that its format keeps.
struct TestMatrix {
  cudaDataType type;
  bool row_major;
  std::int64_t rows, cols, ld, stride, batch;
  std::unique_ptr<DeviceBuffer> buffer;

  TestMatrix(cudaDataType type_, bool row_major_, std::int64_t rows_, std::int64_t cols_,
             std::int64_t batch_, std::int64_t padding = 16)
      : type(type_),
        row_major(row_major_),
        rows(rows_),
        cols(cols_),
        ld((row_major_ ? cols_ : rows_) + padding),
        stride(ld * (row_major_ ? rows_ : cols_) + 32),
        batch(batch_),
        buffer(std::make_unique<DeviceBuffer>(static_cast<std::size_t>(stride * batch_) *
                                              bytes_of(format()))) {}

  NumberFormat format() const { return *format_of_cuda_type(type); }
  std::byte* address(std::int64_t index, std::int64_t i, std::int64_t j) const {
    const std::int64_t at = index * stride + (row_major ? i * ld + j : i + j * ld);
    return static_cast<std::byte*>(buffer->data()) +
           static_cast<std::size_t>(at) * bytes_of(format());
  }
  double get(std::int64_t index, std::int64_t i, std::int64_t j) const {
    double value = 0;
    load(format(), address(index, i, j), 1, &value);
    return value;
  }
  void fill(std::mt19937& random) {
    std::uniform_real_distribution<double> uniform(-1.0, 1.0);
    const double scale = is_integer(format()) ? 20.0 : 1.0;
    for (std::int64_t b = 0; b < batch; ++b) {
      for (std::int64_t i = 0; i < rows; ++i) {
        for (std::int64_t j = 0; j < cols; ++j) {
          const double value = uniform(random) * scale;
          store(format(), &value, 1, address(b, i, j));
        }
      }
    }
  }
  cublasLtMatrixLayout_t layout() const {
    cublasLtMatrixLayout_t made = nullptr;
    REQUIRE(cublasLtMatrixLayoutCreate(&made, type, static_cast<std::uint64_t>(rows),
                                       static_cast<std::uint64_t>(cols),
                                       ld) == CUBLAS_STATUS_SUCCESS);
    const std::int32_t order = row_major ? CUBLASLT_ORDER_ROW : CUBLASLT_ORDER_COL;
    const auto count = static_cast<std::int32_t>(batch);
    cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_ORDER, &order, sizeof order);
    cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count,
                                     sizeof count);
    cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride,
                                     sizeof stride);
    return made;
  }
};

struct Handle {
  cublasLtHandle_t value = nullptr;
  Handle() { cublasLtCreate(&value); }
  ~Handle() { cublasLtDestroy(value); }
};

inline void set(cublasLtMatmulDesc_t description, cublasLtMatmulDescAttributes_t attribute,
                auto value) {
  REQUIRE(cublasLtMatmulDescSetAttribute(description, attribute, &value, sizeof value) ==
          CUBLAS_STATUS_SUCCESS);
}

}  // namespace ptx_emulator::test
