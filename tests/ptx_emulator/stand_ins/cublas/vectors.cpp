// cuBLAS's vector functions, matrix-vector product and matrix sum in float and double.

#include <cmath>
#include <cstring>
#include <type_traits>

#include "tests/ptx_emulator/stand_ins/cublas/handle.h"
#include "tests/ptx_emulator/stand_ins/support/matrix_access.h"
#include "tests/ptx_emulator/stand_ins/support/runtime_link.h"

using namespace ptx_emulator::stand_ins;

namespace {

template <class Real>
constexpr NumberFormat kFormat =
    std::is_same_v<Real, float> ? NumberFormat::kFloat32 : NumberFormat::kFloat64;

// Elements of a strided vector; a negative stride walks from the end, as BLAS has it.
template <class Real>
class Elements {
 public:
  Elements(const Real* device, std::int64_t n, std::int64_t step, const char* what,
           bool writes = false)
      : step_(step) {
    if (n <= 0) return;
    const std::int64_t span = (n - 1) * (step < 0 ? -step : step) + 1;
    first_ = static_cast<Real*>(
        host_pointer(device, static_cast<std::size_t>(span) * sizeof(Real), what));
    if (writes) note_written(device, static_cast<std::size_t>(span) * sizeof(Real));
    if (step < 0) first_ -= (n - 1) * step;
  }
  Real& operator[](std::int64_t i) const { return first_[i * step_]; }

 private:
  Real* first_ = nullptr;
  std::int64_t step_;
};

// Writes a result where the handle's pointer mode says it goes.
template <class Result>
cublasStatus_t give(cublasHandle_t handle, const char* function, Result* target,
                    std::function<Result()> compute) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (target == nullptr) return invalid(function, "the result is NULL");
  if (handle->pointer_mode == CUBLAS_POINTER_MODE_DEVICE) {
    return queue(handle, function, [=] {
      const Result result = compute();
      std::memcpy(writable_pointer(target, sizeof result, "result"), &result, sizeof result);
    });
  }
  return queue_and_wait(handle, function, [=] { *target = compute(); });
}

template <class Real>
cublasStatus_t axpy(cublasHandle_t handle, const char* function, int n, const Real* alpha,
                    const Real* x, int incx, Real* y, int incy) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (alpha == nullptr) return invalid(function, "alpha is NULL");
  const Scalar factor = scalar_of(handle, alpha, kFormat<Real>);
  return queue(handle, function, [=] {
    const auto a = static_cast<Real>(value_of(factor));
    const Elements<Real> from(x, n, incx, "x");
    const Elements<Real> to(y, n, incy, "y", true);
    for (int i = 0; i < n; ++i) to[i] = std::fma(a, from[i], to[i]);
  });
}

template <class Real>
cublasStatus_t scal(cublasHandle_t handle, const char* function, int n, const Real* alpha, Real* x,
                    int incx) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (alpha == nullptr) return invalid(function, "alpha is NULL");
  const Scalar factor = scalar_of(handle, alpha, kFormat<Real>);
  return queue(handle, function, [=] {
    const Elements<Real> values(x, n, incx, "x", true);
    const auto a = static_cast<Real>(value_of(factor));
    for (int i = 0; i < n; ++i) values[i] *= a;
  });
}

template <class Real>
cublasStatus_t copy(cublasHandle_t handle, const char* function, int n, const Real* x, int incx,
                    Real* y, int incy, bool swap) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  return queue(handle, function, [=] {
    const Elements<Real> from(x, n, incx, "x", swap);
    const Elements<Real> to(y, n, incy, "y", true);
    for (int i = 0; i < n; ++i) {
      if (swap) {
        std::swap(from[i], to[i]);
      } else {
        to[i] = from[i];
      }
    }
  });
}

// Sums are taken in double: a GPU adds in another order anyway, and the error stays below one
// rounding.
template <class Real, class Term>
cublasStatus_t sum(cublasHandle_t handle, const char* function, int n, const Real* x, int incx,
                   const Real* y, int incy, Real* result, Term term, bool root) {
  return give<Real>(handle, function, result, [=] {
    const Elements<Real> a(x, n, incx, "x");
    const Elements<Real> b(y, n, incy, "y");
    double total = 0;
    for (int i = 0; i < n; ++i) total += term(static_cast<double>(a[i]), static_cast<double>(b[i]));
    return static_cast<Real>(root ? std::sqrt(total) : total);
  });
}

// Index from 1 of the first element of largest (or smallest) magnitude; 0 of nothing.
template <class Real>
cublasStatus_t extreme(cublasHandle_t handle, const char* function, int n, const Real* x, int incx,
                       int* result, bool largest) {
  return give<int>(handle, function, result, [=] {
    if (n < 1 || incx < 1) return 0;
    const Elements<Real> values(x, n, incx, "x");
    int best = 0;
    for (int i = 1; i < n; ++i) {
      const Real a = std::fabs(values[i]);
      const Real b = std::fabs(values[best]);
      if (largest ? a > b : a < b) best = i;
    }
    return best + 1;
  });
}

template <class Real>
cublasStatus_t gemv(cublasHandle_t handle, const char* function, cublasOperation_t trans, int m,
                    int n, const Real* alpha, const Real* A, int lda, const Real* x, int incx,
                    const Real* beta, Real* y, int incy) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (m < 0 || n < 0 || lda < std::max(1, m) || incx == 0 || incy == 0 || alpha == nullptr ||
      beta == nullptr) {
    return invalid(function, "a size, stride or factor is not valid");
  }
  const Scalar a_factor = scalar_of(handle, alpha, kFormat<Real>);
  const Scalar y_factor = scalar_of(handle, beta, kFormat<Real>);
  return queue(handle, function, [=] {
    const bool transpose = trans != CUBLAS_OP_N;
    const int rows = transpose ? n : m;
    const int cols = transpose ? m : n;
    Matrix matrix;
    matrix.format = kFormat<Real>;
    matrix.rows = m;
    matrix.cols = n;
    matrix.ld = lda;
    matrix.data = A;
    const auto values = reinterpret_cast<const Real*>(matrix_address(matrix, 0, "A"));
    const Elements<Real> from(x, cols, incx, "x");
    const Elements<Real> to(y, rows, incy, "y", true);
    const double a = value_of(a_factor);
    const double b = value_of(y_factor);
    for (int i = 0; i < rows; ++i) {
      double total = 0;
      for (int j = 0; j < cols; ++j) {
        const std::int64_t at = transpose ? j + static_cast<std::int64_t>(i) * lda
                                          : i + static_cast<std::int64_t>(j) * lda;
        total += static_cast<double>(values[at]) * static_cast<double>(from[j]);
      }
      // With beta 0 the old y is not read: it may be NaN.
      to[i] = static_cast<Real>(b == 0 ? a * total : a * total + b * static_cast<double>(to[i]));
    }
  });
}

template <class Real>
struct GeamCall {
  cublasOperation_t transa, transb;
  int m, n;
  Scalar alpha, beta;
  const Real* A;
  int lda;
  const Real* B;
  int ldb;
  Real* C;
  int ldc;
};

template <class Real>
void run_geam(const GeamCall<Real>& g) {
  const auto address = [](const Real* data, int rows, int cols, int ld, const char* what) {
    Matrix matrix;
    matrix.format = kFormat<Real>;
    matrix.rows = rows;
    matrix.cols = cols;
    matrix.ld = ld;
    matrix.data = data;
    return reinterpret_cast<Real*>(matrix_address(matrix, 0, what));
  };
  const auto alpha = static_cast<Real>(value_of(g.alpha));
  const auto beta = static_cast<Real>(value_of(g.beta));
  const bool ta = g.transa != CUBLAS_OP_N;
  const bool tb = g.transb != CUBLAS_OP_N;
  const Real* const a =
      alpha == 0 ? nullptr : address(g.A, ta ? g.n : g.m, ta ? g.m : g.n, g.lda, "A");
  const Real* const b =
      beta == 0 ? nullptr : address(g.B, tb ? g.n : g.m, tb ? g.m : g.n, g.ldb, "B");
  Real* const c = address(g.C, g.m, g.n, g.ldc, "C");
  for (int j = 0; j < g.n; ++j) {
    note_written(g.C + static_cast<std::int64_t>(j) * g.ldc,
                 static_cast<std::size_t>(g.m) * sizeof(Real));
  }
  const auto at = [](bool transpose, std::int64_t i, std::int64_t j, std::int64_t ld) {
    return transpose ? j + i * ld : i + j * ld;
  };
  for (int j = 0; j < g.n; ++j) {
    for (int i = 0; i < g.m; ++i) {
      const Real first = a == nullptr ? Real{0} : alpha * a[at(ta, i, j, g.lda)];
      const Real second = b == nullptr ? Real{0} : beta * b[at(tb, i, j, g.ldb)];
      c[at(false, i, j, g.ldc)] = first + second;
    }
  }
}

template <class Real>
cublasStatus_t geam(cublasHandle_t handle, const char* function, GeamCall<Real> g,
                    const Real* alpha, const Real* beta) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  const int a_rows = g.transa == CUBLAS_OP_N ? g.m : g.n;
  const int b_rows = g.transb == CUBLAS_OP_N ? g.m : g.n;
  if (g.m < 0 || g.n < 0 || alpha == nullptr || beta == nullptr || g.lda < std::max(1, a_rows) ||
      g.ldb < std::max(1, b_rows) || g.ldc < std::max(1, g.m)) {
    return invalid(function, "a size, leading dimension or factor is not valid");
  }
  g.alpha = scalar_of(handle, alpha, kFormat<Real>);
  g.beta = scalar_of(handle, beta, kFormat<Real>);
  return queue(handle, function, [g] { run_geam(g); });
}

double product(double a, double b) {
  return a * b;
}
double magnitude(double a, double) {
  return std::fabs(a);
}

}  // namespace

extern "C" {

cublasStatus_t cublasSaxpy_v2(cublasHandle_t h, int n, const float* alpha, const float* x, int incx,
                              float* y, int incy) {
  return axpy(h, "cublasSaxpy", n, alpha, x, incx, y, incy);
}
cublasStatus_t cublasDaxpy_v2(cublasHandle_t h, int n, const double* alpha, const double* x,
                              int incx, double* y, int incy) {
  return axpy(h, "cublasDaxpy", n, alpha, x, incx, y, incy);
}
cublasStatus_t cublasSscal_v2(cublasHandle_t h, int n, const float* alpha, float* x, int incx) {
  return scal(h, "cublasSscal", n, alpha, x, incx);
}
cublasStatus_t cublasDscal_v2(cublasHandle_t h, int n, const double* alpha, double* x, int incx) {
  return scal(h, "cublasDscal", n, alpha, x, incx);
}
cublasStatus_t cublasScopy_v2(cublasHandle_t h, int n, const float* x, int incx, float* y,
                              int incy) {
  return copy(h, "cublasScopy", n, x, incx, y, incy, false);
}
cublasStatus_t cublasDcopy_v2(cublasHandle_t h, int n, const double* x, int incx, double* y,
                              int incy) {
  return copy(h, "cublasDcopy", n, x, incx, y, incy, false);
}
cublasStatus_t cublasSswap_v2(cublasHandle_t h, int n, float* x, int incx, float* y, int incy) {
  return copy<float>(h, "cublasSswap", n, x, incx, y, incy, true);
}
cublasStatus_t cublasDswap_v2(cublasHandle_t h, int n, double* x, int incx, double* y, int incy) {
  return copy<double>(h, "cublasDswap", n, x, incx, y, incy, true);
}
cublasStatus_t cublasSdot_v2(cublasHandle_t h, int n, const float* x, int incx, const float* y,
                             int incy, float* result) {
  return sum(h, "cublasSdot", n, x, incx, y, incy, result, product, false);
}
cublasStatus_t cublasDdot_v2(cublasHandle_t h, int n, const double* x, int incx, const double* y,
                             int incy, double* result) {
  return sum(h, "cublasDdot", n, x, incx, y, incy, result, product, false);
}
cublasStatus_t cublasSnrm2_v2(cublasHandle_t h, int n, const float* x, int incx, float* result) {
  return sum(h, "cublasSnrm2", n, x, incx, x, incx, result, product, true);
}
cublasStatus_t cublasDnrm2_v2(cublasHandle_t h, int n, const double* x, int incx, double* result) {
  return sum(h, "cublasDnrm2", n, x, incx, x, incx, result, product, true);
}
cublasStatus_t cublasSasum_v2(cublasHandle_t h, int n, const float* x, int incx, float* result) {
  return sum(h, "cublasSasum", n, x, incx, x, incx, result, magnitude, false);
}
cublasStatus_t cublasDasum_v2(cublasHandle_t h, int n, const double* x, int incx, double* result) {
  return sum(h, "cublasDasum", n, x, incx, x, incx, result, magnitude, false);
}
cublasStatus_t cublasIsamax_v2(cublasHandle_t h, int n, const float* x, int incx, int* result) {
  return extreme(h, "cublasIsamax", n, x, incx, result, true);
}
cublasStatus_t cublasIdamax_v2(cublasHandle_t h, int n, const double* x, int incx, int* result) {
  return extreme(h, "cublasIdamax", n, x, incx, result, true);
}
cublasStatus_t cublasIsamin_v2(cublasHandle_t h, int n, const float* x, int incx, int* result) {
  return extreme(h, "cublasIsamin", n, x, incx, result, false);
}
cublasStatus_t cublasIdamin_v2(cublasHandle_t h, int n, const double* x, int incx, int* result) {
  return extreme(h, "cublasIdamin", n, x, incx, result, false);
}
cublasStatus_t cublasSgemv_v2(cublasHandle_t h, cublasOperation_t trans, int m, int n,
                              const float* alpha, const float* A, int lda, const float* x, int incx,
                              const float* beta, float* y, int incy) {
  return gemv(h, "cublasSgemv", trans, m, n, alpha, A, lda, x, incx, beta, y, incy);
}
cublasStatus_t cublasDgemv_v2(cublasHandle_t h, cublasOperation_t trans, int m, int n,
                              const double* alpha, const double* A, int lda, const double* x,
                              int incx, const double* beta, double* y, int incy) {
  return gemv(h, "cublasDgemv", trans, m, n, alpha, A, lda, x, incx, beta, y, incy);
}
cublasStatus_t cublasSgeam(cublasHandle_t h, cublasOperation_t transa, cublasOperation_t transb,
                           int m, int n, const float* alpha, const float* A, int lda,
                           const float* beta, const float* B, int ldb, float* C, int ldc) {
  return geam<float>(h, "cublasSgeam", {transa, transb, m, n, {}, {}, A, lda, B, ldb, C, ldc},
                     alpha, beta);
}
cublasStatus_t cublasDgeam(cublasHandle_t h, cublasOperation_t transa, cublasOperation_t transb,
                           int m, int n, const double* alpha, const double* A, int lda,
                           const double* beta, const double* B, int ldb, double* C, int ldc) {
  return geam<double>(h, "cublasDgeam", {transa, transb, m, n, {}, {}, A, lda, B, ldb, C, ldc},
                      alpha, beta);
}

}  // extern "C"
