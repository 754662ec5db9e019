#pragma once
// Dense products on the host: a BLAS found at run time, or plain blocked loops where there is none.

#include <cstdint>

namespace ptx_emulator::stand_ins {

// C = op(A) op(B), column-major. op(A) is (m, k), op(B) (k, n), C (m, n); leading dimensions in
// elements.
template <class Real>
struct HostProduct {
  bool transpose_a = false;
  bool transpose_b = false;
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  const Real* a = nullptr;
  std::int64_t lda = 1;
  const Real* b = nullptr;
  std::int64_t ldb = 1;
  Real* c = nullptr;  // overwritten; zeros where k is 0
  std::int64_t ldc = 1;
};

// Uses libopenblas.so.0, libblas.so.3 or libcblas.so.3, whichever loads first (PTX_EMULATOR_BLAS
// names another, or "none" for the loops here). Which it was: blas_name().
void multiply(const HostProduct<float>& product);
void multiply(const HostProduct<double>& product);
const char* blas_name();

// The loops that need no library, for machines without one and for tests.
template <class Real>
void multiply_plain(const HostProduct<Real>& product);
extern template void multiply_plain<float>(const HostProduct<float>&);
extern template void multiply_plain<double>(const HostProduct<double>&);

}  // namespace ptx_emulator::stand_ins
