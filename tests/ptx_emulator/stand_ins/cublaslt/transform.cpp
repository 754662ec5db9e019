// cublasLtMatrixTransform: C = alpha op(A) + beta op(B), with change of order and type.

#include <cstring>

#include "tests/ptx_emulator/stand_ins/cublaslt/descriptors.h"
#include "tests/ptx_emulator/stand_ins/support/explain.h"
#include "tests/ptx_emulator/stand_ins/support/matrix_access.h"
#include "tests/ptx_emulator/stand_ins/support/runtime_link.h"

using namespace ptx_emulator::stand_ins;

namespace {

struct Term {
  bool present = false;
  bool transpose = false;
  Matrix matrix;
  Scalar factor;
};

struct Transform {
  Term a, b;
  Matrix c;
  std::int64_t batch_count = 1;
};

// False where the layout is none that this stand-in reads.
bool take_matrix(const LayoutFields& layout, const void* data, Matrix& matrix) {
  const auto format = format_of_cuda_type(static_cast<int>(layout.type));
  if (!format || (layout.order != CUBLASLT_ORDER_COL && layout.order != CUBLASLT_ORDER_ROW) ||
      layout.plane_offset != 0 || layout.rows > INT32_MAX || layout.cols > INT32_MAX ||
      layout.batch_mode != CUBLASLT_BATCH_MODE_STRIDED) {
    return false;
  }
  matrix.format = *format;
  matrix.row_major = layout.order == CUBLASLT_ORDER_ROW;
  matrix.rows = static_cast<std::int64_t>(layout.rows);
  matrix.cols = static_cast<std::int64_t>(layout.cols);
  matrix.ld = layout.ld;
  matrix.batch_stride = layout.batch_stride;
  matrix.data = data;
  return true;
}

void add_term(const Term& term, std::int64_t index, const Matrix& c, double* sums,
              const char* what) {
  if (!term.present) return;
  const double factor = term.factor.device != nullptr
                            ? read_number(term.factor.device, term.factor.format, "factor")
                            : term.factor.value;
  const auto values = read_matrix<double>(term.matrix, index, InputRounding::kNone, what);
  const bool swapped = term.transpose != term.matrix.row_major;
  for (std::int64_t j = 0; j < c.cols; ++j) {
    for (std::int64_t i = 0; i < c.rows; ++i) {
      sums[i + j * c.rows] +=
          factor * (swapped ? values.data[j + i * values.ld] : values.data[i + j * values.ld]);
    }
  }
}

void run_transform(const Transform& transform) {
  for (std::int64_t index = 0; index < transform.batch_count; ++index) {
    std::vector<double> sums(static_cast<std::size_t>(transform.c.rows * transform.c.cols));
    add_term(transform.a, index, transform.c, sums.data(), "A");
    add_term(transform.b, index, transform.c, sums.data(), "B");
    write_matrix(transform.c, index, sums.data(), "C");
  }
}

// One of the two terms; an absent matrix or a zero factor on the host leaves it out.
cublasStatus_t take_term(const TransformFields& description, std::int32_t transpose,
                         const void* factor, const void* data, const LayoutFields* layout,
                         const Matrix& c, std::int32_t batch_count, Term& term) {
  if (data == nullptr || factor == nullptr) return CUBLAS_STATUS_SUCCESS;
  const auto format = format_of_cuda_type(description.scale_type);
  if (layout == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  if (!format || !take_matrix(*layout, data, term.matrix)) return CUBLAS_STATUS_NOT_SUPPORTED;
  term.transpose = transpose != CUBLAS_OP_N;
  term.factor.format = *format;
  if (description.pointer_mode == CUBLASLT_POINTER_MODE_DEVICE) {
    term.factor.device = factor;
  } else if (description.pointer_mode == CUBLASLT_POINTER_MODE_HOST) {
    load(*format, factor, 1, &term.factor.value);
  } else {
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  const bool fits = (term.transpose ? term.matrix.cols : term.matrix.rows) == c.rows &&
                    (term.transpose ? term.matrix.rows : term.matrix.cols) == c.cols;
  if (!fits || layout->batch_count != batch_count || term.matrix.ld < term.matrix.stored_rows())
    return CUBLAS_STATUS_INVALID_VALUE;
  term.present = term.factor.device != nullptr || term.factor.value != 0;
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

extern "C" cublasStatus_t cublasLtMatrixTransform(cublasLtHandle_t handle,
                                                  cublasLtMatrixTransformDesc_t description,
                                                  const void* alpha, const void* A,
                                                  cublasLtMatrixLayout_t a, const void* beta,
                                                  const void* B, cublasLtMatrixLayout_t b, void* C,
                                                  cublasLtMatrixLayout_t c, cudaStream_t stream) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (description == nullptr || c == nullptr || C == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  Transform transform;
  const TransformFields& fields = *fields_of(description);
  const LayoutFields& target = *fields_of(c);
  transform.batch_count = target.batch_count;
  if (!take_matrix(target, C, transform.c)) {
    explain(__func__, "only regular matrices in column or row order are supported");
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  if (transform.c.ld < transform.c.stored_rows() || target.batch_count < 1)
    return CUBLAS_STATUS_INVALID_VALUE;
  for (const bool first : {true, false}) {
    const cublasStatus_t status =
        take_term(fields, first ? fields.transpose_a : fields.transpose_b, first ? alpha : beta,
                  first ? A : B, fields_of(first ? a : b), transform.c, target.batch_count,
                  first ? transform.a : transform.b);
    if (status == CUBLAS_STATUS_SUCCESS) continue;
    explain(__func__,
            text("%s does not fit C, or is of a kind that is not supported", first ? "A" : "B"));
    return status;
  }
  return enqueue(
             stream, [transform] { run_transform(transform); }, "cublasLtMatrixTransform") ==
                 kCudaSuccess
             ? CUBLAS_STATUS_SUCCESS
             : CUBLAS_STATUS_EXECUTION_FAILED;
}
