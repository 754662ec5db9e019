// cuBLAS's matrix products, all through one plan.

#include <algorithm>

#include "tests/ptx_emulator/stand_ins/cublas/handle.h"
#include "tests/ptx_emulator/stand_ins/support/explain.h"

using namespace ptx_emulator::stand_ins;

namespace {

struct Operand {
  const void* data = nullptr;
  int type = 0;
  std::int64_t ld = 0;
  std::int64_t stride = 0;
};

// One call of any of the product functions.
struct Product {
  const char* function = "";
  cublasOperation_t transa = CUBLAS_OP_N, transb = CUBLAS_OP_N;
  std::int64_t m = 0, n = 0, k = 0;
  const void* alpha = nullptr;
  Operand a, b;
  const void* beta = nullptr;
  Operand c;
  std::int64_t batch_count = 1;
  bool pointer_arrays = false;
  cublasComputeType_t compute_type = CUBLAS_COMPUTE_32F;
};

NumberFormat scale_format(cublasComputeType_t type, int c_type) {
  switch (type) {
    case CUBLAS_COMPUTE_16F:
    case CUBLAS_COMPUTE_16F_PEDANTIC:
      return NumberFormat::kFloat16;
    case CUBLAS_COMPUTE_64F:
    case CUBLAS_COMPUTE_64F_PEDANTIC:
    case CUBLAS_COMPUTE_64F_EMULATED_FIXEDPOINT:
      return NumberFormat::kFloat64;
    case CUBLAS_COMPUTE_32I:
    case CUBLAS_COMPUTE_32I_PEDANTIC:
      return c_type == CUDA_R_32I ? NumberFormat::kInt32 : NumberFormat::kFloat32;
    default:
      return NumberFormat::kFloat32;
  }
}

// The library's table of types for GemmEx and its batched forms.
bool supported(const Product& p) {
  const int in = p.a.type;
  const int out = p.c.type;
  if (p.b.type != in) return false;
  switch (p.compute_type) {
    case CUBLAS_COMPUTE_16F:
    case CUBLAS_COMPUTE_16F_PEDANTIC:
      return in == CUDA_R_16F && out == CUDA_R_16F;
    case CUBLAS_COMPUTE_32I:
    case CUBLAS_COMPUTE_32I_PEDANTIC:
      return in == CUDA_R_8I && out == CUDA_R_32I;
    case CUBLAS_COMPUTE_32F:
    case CUBLAS_COMPUTE_32F_PEDANTIC:
      return (out == CUDA_R_32F &&
              (in == CUDA_R_32F || in == CUDA_R_16F || in == CUDA_R_16BF || in == CUDA_R_8I)) ||
             (out == in && (in == CUDA_R_16F || in == CUDA_R_16BF));
    case CUBLAS_COMPUTE_32F_FAST_16F:
    case CUBLAS_COMPUTE_32F_FAST_16BF:
    case CUBLAS_COMPUTE_32F_FAST_TF32:
    case CUBLAS_COMPUTE_32F_EMULATED_16BFX9:
      return in == CUDA_R_32F && out == CUDA_R_32F;
    case CUBLAS_COMPUTE_64F:
    case CUBLAS_COMPUTE_64F_PEDANTIC:
    case CUBLAS_COMPUTE_64F_EMULATED_FIXEDPOINT:
      return in == CUDA_R_64F && out == CUDA_R_64F;
    default:
      return false;
  }
}

InputRounding rounding(cublasHandle_t handle, const Product& p) {
  const bool tf32_mode = (handle->math_mode & 0xf) == CUBLAS_TF32_TENSOR_OP_MATH &&
                         p.compute_type == CUBLAS_COMPUTE_32F;
  if (p.a.type != CUDA_R_32F) return InputRounding::kNone;
  if (p.compute_type == CUBLAS_COMPUTE_32F_FAST_16BF) return InputRounding::kBfloat16;
  return tf32_mode || p.compute_type == CUBLAS_COMPUTE_32F_FAST_TF32 ||
                 p.compute_type == CUBLAS_COMPUTE_32F_FAST_16F
             ? InputRounding::kTf32
             : InputRounding::kNone;
}

Matrix matrix_of(const Operand& operand, std::int64_t rows, std::int64_t cols, bool pointer_array) {
  Matrix matrix;
  matrix.format = format_of_cuda_type(operand.type).value_or(NumberFormat::kFloat32);
  matrix.rows = rows;
  matrix.cols = cols;
  matrix.ld = operand.ld;
  matrix.batch_stride = operand.stride;
  matrix.data = operand.data;
  matrix.pointer_array = pointer_array;
  return matrix;
}

bool is_operation(cublasOperation_t operation) {
  return operation >= CUBLAS_OP_N && operation <= CUBLAS_OP_C;
}

const char* wrong(const Product& p) {
  const std::int64_t a_rows = p.transa == CUBLAS_OP_N ? p.m : p.k;
  const std::int64_t b_rows = p.transb == CUBLAS_OP_N ? p.k : p.n;
  if (!is_operation(p.transa) || !is_operation(p.transb))
    return "a transpose operation does not exist";
  if (p.m < 0 || p.n < 0 || p.k < 0 || p.batch_count < 0) return "a size is negative";
  if (p.a.ld < std::max<std::int64_t>(1, a_rows)) return "lda is below the rows of A";
  if (p.b.ld < std::max<std::int64_t>(1, b_rows)) return "ldb is below the rows of B";
  if (p.c.ld < std::max<std::int64_t>(1, p.m)) return "ldc is below the rows of C";
  if (p.alpha == nullptr || p.beta == nullptr) return "alpha or beta is NULL";
  const bool empty = p.m == 0 || p.n == 0 || p.batch_count == 0;
  if (!empty && (p.c.data == nullptr || (p.k > 0 && (p.a.data == nullptr || p.b.data == nullptr))))
    return "a matrix is NULL";
  return nullptr;
}

cublasStatus_t run(cublasHandle_t handle, const Product& p) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (const char* const reason = wrong(p); reason != nullptr) return invalid(p.function, reason);
  if (!supported(p)) {
    explain(p.function, text("A of type %d, B %d and C %d with compute type %d are not supported",
                             p.a.type, p.b.type, p.c.type, static_cast<int>(p.compute_type)));
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  ProductPlan plan;
  plan.m = p.m;
  plan.n = p.n;
  plan.k = p.k;
  plan.batch_count = p.batch_count;
  plan.transpose_a = p.transa != CUBLAS_OP_N;
  plan.transpose_b = p.transb != CUBLAS_OP_N;
  plan.a =
      matrix_of(p.a, plan.transpose_a ? p.k : p.m, plan.transpose_a ? p.m : p.k, p.pointer_arrays);
  plan.b =
      matrix_of(p.b, plan.transpose_b ? p.n : p.k, plan.transpose_b ? p.k : p.n, p.pointer_arrays);
  plan.c = matrix_of(p.c, p.m, p.n, p.pointer_arrays);
  plan.d = plan.c;
  plan.in_double = plan.a.format == NumberFormat::kFloat64 || is_integer(plan.a.format);
  plan.rounding = rounding(handle, p);
  const NumberFormat scale = scale_format(p.compute_type, p.c.type);
  plan.alpha = scalar_of(handle, p.alpha, scale);
  plan.beta = scalar_of(handle, p.beta, scale);
  plan.workspace = handle->workspace;
  plan.workspace_bytes = handle->workspace_bytes;
  return queue(handle, p.function, [plan] { run_product(plan); });
}

// An array of pointers is an operand like a matrix.
template <class Real>
Operand array(const Real* const* data, int type, int ld) {
  return {data, type, ld, 0};
}

}  // namespace

extern "C" {

cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t transa,
                              cublasOperation_t transb, int m, int n, int k, const float* alpha,
                              const float* A, int lda, const float* B, int ldb, const float* beta,
                              float* C, int ldc) {
  return run(handle, {"cublasSgemm",
                      transa,
                      transb,
                      m,
                      n,
                      k,
                      alpha,
                      {A, CUDA_R_32F, lda, 0},
                      {B, CUDA_R_32F, ldb, 0},
                      beta,
                      {C, CUDA_R_32F, ldc, 0},
                      1,
                      false,
                      CUBLAS_COMPUTE_32F});
}
cublasStatus_t cublasDgemm_v2(cublasHandle_t handle, cublasOperation_t transa,
                              cublasOperation_t transb, int m, int n, int k, const double* alpha,
                              const double* A, int lda, const double* B, int ldb,
                              const double* beta, double* C, int ldc) {
  return run(handle, {"cublasDgemm",
                      transa,
                      transb,
                      m,
                      n,
                      k,
                      alpha,
                      {A, CUDA_R_64F, lda, 0},
                      {B, CUDA_R_64F, ldb, 0},
                      beta,
                      {C, CUDA_R_64F, ldc, 0},
                      1,
                      false,
                      CUBLAS_COMPUTE_64F});
}
cublasStatus_t cublasHgemm(cublasHandle_t handle, cublasOperation_t transa,
                           cublasOperation_t transb, int m, int n, int k, const __half* alpha,
                           const __half* A, int lda, const __half* B, int ldb, const __half* beta,
                           __half* C, int ldc) {
  return run(handle, {"cublasHgemm",
                      transa,
                      transb,
                      m,
                      n,
                      k,
                      alpha,
                      {A, CUDA_R_16F, lda, 0},
                      {B, CUDA_R_16F, ldb, 0},
                      beta,
                      {C, CUDA_R_16F, ldc, 0},
                      1,
                      false,
                      CUBLAS_COMPUTE_16F});
}
cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t transa,
                                         cublasOperation_t transb, int m, int n, int k,
                                         const float* alpha, const float* A, int lda,
                                         long long stride_a, const float* B, int ldb,
                                         long long stride_b, const float* beta, float* C, int ldc,
                                         long long stride_c, int batch_count) {
  return run(handle, {"cublasSgemmStridedBatched",
                      transa,
                      transb,
                      m,
                      n,
                      k,
                      alpha,
                      {A, CUDA_R_32F, lda, stride_a},
                      {B, CUDA_R_32F, ldb, stride_b},
                      beta,
                      {C, CUDA_R_32F, ldc, stride_c},
                      batch_count,
                      false,
                      CUBLAS_COMPUTE_32F});
}
cublasStatus_t cublasDgemmStridedBatched(cublasHandle_t handle, cublasOperation_t transa,
                                         cublasOperation_t transb, int m, int n, int k,
                                         const double* alpha, const double* A, int lda,
                                         long long stride_a, const double* B, int ldb,
                                         long long stride_b, const double* beta, double* C, int ldc,
                                         long long stride_c, int batch_count) {
  return run(handle, {"cublasDgemmStridedBatched",
                      transa,
                      transb,
                      m,
                      n,
                      k,
                      alpha,
                      {A, CUDA_R_64F, lda, stride_a},
                      {B, CUDA_R_64F, ldb, stride_b},
                      beta,
                      {C, CUDA_R_64F, ldc, stride_c},
                      batch_count,
                      false,
                      CUBLAS_COMPUTE_64F});
}
cublasStatus_t cublasHgemmStridedBatched(cublasHandle_t handle, cublasOperation_t transa,
                                         cublasOperation_t transb, int m, int n, int k,
                                         const __half* alpha, const __half* A, int lda,
                                         long long stride_a, const __half* B, int ldb,
                                         long long stride_b, const __half* beta, __half* C, int ldc,
                                         long long stride_c, int batch_count) {
  return run(handle, {"cublasHgemmStridedBatched",
                      transa,
                      transb,
                      m,
                      n,
                      k,
                      alpha,
                      {A, CUDA_R_16F, lda, stride_a},
                      {B, CUDA_R_16F, ldb, stride_b},
                      beta,
                      {C, CUDA_R_16F, ldc, stride_c},
                      batch_count,
                      false,
                      CUBLAS_COMPUTE_16F});
}
cublasStatus_t cublasSgemmBatched(cublasHandle_t handle, cublasOperation_t transa,
                                  cublasOperation_t transb, int m, int n, int k, const float* alpha,
                                  const float* const A[], int lda, const float* const B[], int ldb,
                                  const float* beta, float* const C[], int ldc, int batch_count) {
  return run(handle, {"cublasSgemmBatched", transa, transb, m, n, k, alpha,
                      array(A, CUDA_R_32F, lda), array(B, CUDA_R_32F, ldb), beta,
                      array(C, CUDA_R_32F, ldc), batch_count, true, CUBLAS_COMPUTE_32F});
}
cublasStatus_t cublasDgemmBatched(cublasHandle_t handle, cublasOperation_t transa,
                                  cublasOperation_t transb, int m, int n, int k,
                                  const double* alpha, const double* const A[], int lda,
                                  const double* const B[], int ldb, const double* beta,
                                  double* const C[], int ldc, int batch_count) {
  return run(handle, {"cublasDgemmBatched", transa, transb, m, n, k, alpha,
                      array(A, CUDA_R_64F, lda), array(B, CUDA_R_64F, ldb), beta,
                      array(C, CUDA_R_64F, ldc), batch_count, true, CUBLAS_COMPUTE_64F});
}
cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t transa,
                            cublasOperation_t transb, int m, int n, int k, const void* alpha,
                            const void* A, cudaDataType type_a, int lda, const void* B,
                            cudaDataType type_b, int ldb, const void* beta, void* C,
                            cudaDataType type_c, int ldc, cublasComputeType_t compute_type,
                            cublasGemmAlgo_t) {
  return run(handle, {"cublasGemmEx",
                      transa,
                      transb,
                      m,
                      n,
                      k,
                      alpha,
                      {A, type_a, lda, 0},
                      {B, type_b, ldb, 0},
                      beta,
                      {C, type_c, ldc, 0},
                      1,
                      false,
                      compute_type});
}
cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t transa,
                                          cublasOperation_t transb, int m, int n, int k,
                                          const void* alpha, const void* A, cudaDataType type_a,
                                          int lda, long long stride_a, const void* B,
                                          cudaDataType type_b, int ldb, long long stride_b,
                                          const void* beta, void* C, cudaDataType type_c, int ldc,
                                          long long stride_c, int batch_count,
                                          cublasComputeType_t compute_type, cublasGemmAlgo_t) {
  return run(handle, {"cublasGemmStridedBatchedEx",
                      transa,
                      transb,
                      m,
                      n,
                      k,
                      alpha,
                      {A, type_a, lda, stride_a},
                      {B, type_b, ldb, stride_b},
                      beta,
                      {C, type_c, ldc, stride_c},
                      batch_count,
                      false,
                      compute_type});
}
cublasStatus_t cublasGemmBatchedEx(cublasHandle_t handle, cublasOperation_t transa,
                                   cublasOperation_t transb, int m, int n, int k, const void* alpha,
                                   const void* const A[], cudaDataType type_a, int lda,
                                   const void* const B[], cudaDataType type_b, int ldb,
                                   const void* beta, void* const C[], cudaDataType type_c, int ldc,
                                   int batch_count, cublasComputeType_t compute_type,
                                   cublasGemmAlgo_t) {
  return run(handle, {"cublasGemmBatchedEx",
                      transa,
                      transb,
                      m,
                      n,
                      k,
                      alpha,
                      {A, type_a, lda, 0},
                      {B, type_b, ldb, 0},
                      beta,
                      {C, type_c, ldc, 0},
                      batch_count,
                      true,
                      compute_type});
}
cublasStatus_t cublasSgemmEx(cublasHandle_t handle, cublasOperation_t transa,
                             cublasOperation_t transb, int m, int n, int k, const float* alpha,
                             const void* A, cudaDataType type_a, int lda, const void* B,
                             cudaDataType type_b, int ldb, const float* beta, void* C,
                             cudaDataType type_c, int ldc) {
  return run(handle, {"cublasSgemmEx",
                      transa,
                      transb,
                      m,
                      n,
                      k,
                      alpha,
                      {A, type_a, lda, 0},
                      {B, type_b, ldb, 0},
                      beta,
                      {C, type_c, ldc, 0},
                      1,
                      false,
                      CUBLAS_COMPUTE_32F});
}

}  // extern "C"
