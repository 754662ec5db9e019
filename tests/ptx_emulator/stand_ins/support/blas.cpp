#include "tests/ptx_emulator/stand_ins/support/blas.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "tests/ptx_emulator/stand_ins/support/runtime_link.h"

namespace ptx_emulator::stand_ins {
namespace {

// cblas with 32-bit integers; the enums are those of the CBLAS standard.
constexpr int kColumnMajor = 102;
constexpr int kNoTranspose = 111;
constexpr int kTranspose = 112;
template <class Real>
using Gemm = void (*)(int, int, int, int, int, int, Real, const Real*, int, const Real*, int, Real,
                      Real*, int);

struct Library {
  Gemm<float> sgemm = nullptr;
  Gemm<double> dgemm = nullptr;
  std::string name = "plain loops";
};

Library open_library() {
  Library found;
  const char* const wanted = std::getenv("PTX_EMULATOR_BLAS");
  std::vector<std::string> names = {"libopenblas.so.0", "libblas.so.3", "libcblas.so.3"};
  if (wanted != nullptr && *wanted != '\0') names = {wanted};
  if (names.front() == "none") return found;
  for (const std::string& name : names) {
    // Local and deep: the program may carry another BLAS of its own.
    void* const handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) continue;
    auto* const sgemm = reinterpret_cast<Gemm<float>>(dlsym(handle, "cblas_sgemm"));
    auto* const dgemm = reinterpret_cast<Gemm<double>>(dlsym(handle, "cblas_dgemm"));
    if (sgemm == nullptr || dgemm == nullptr) continue;
    if (void* const set = dlsym(handle, "openblas_set_num_threads"); set != nullptr) {
      reinterpret_cast<void (*)(int)>(set)(num_threads());
    }
    found = {sgemm, dgemm, name};
    break;
  }
  return found;
}

const Library& library() {
  static const Library opened = open_library();
  return opened;
}

template <class Real>
void multiply_with(Gemm<Real> gemm, const HostProduct<Real>& p) {
  constexpr std::int64_t kLargest = std::numeric_limits<int>::max();
  const bool fits = std::max({p.m, p.n, p.k, p.lda, p.ldb, p.ldc}) <= kLargest;
  if (gemm == nullptr || !fits || p.k == 0) return multiply_plain(p);
  gemm(kColumnMajor, p.transpose_a ? kTranspose : kNoTranspose,
       p.transpose_b ? kTranspose : kNoTranspose, static_cast<int>(p.m), static_cast<int>(p.n),
       static_cast<int>(p.k), Real{1}, p.a, static_cast<int>(p.lda), p.b, static_cast<int>(p.ldb),
       Real{0}, p.c, static_cast<int>(p.ldc));
}

}  // namespace

void multiply(const HostProduct<float>& product) {
  multiply_with(library().sgemm, product);
}
void multiply(const HostProduct<double>& product) {
  multiply_with(library().dgemm, product);
}
const char* blas_name() {
  return library().name.c_str();
}

template <class Real>
void multiply_plain(const HostProduct<Real>& p) {
  constexpr std::int64_t kBlock = 64;
  std::vector<Real> panel(static_cast<std::size_t>(kBlock * kBlock));
  for (std::int64_t j = 0; j < p.n; ++j) {
    std::fill_n(p.c + j * p.ldc, static_cast<std::size_t>(p.m), Real{0});
  }
  for (std::int64_t i0 = 0; i0 < p.m; i0 += kBlock) {
    const std::int64_t rows = std::min(kBlock, p.m - i0);
    for (std::int64_t l0 = 0; l0 < p.k; l0 += kBlock) {
      const std::int64_t depth = std::min(kBlock, p.k - l0);
      // A tile of op(A), columns contiguous, so that the innermost loop is a plain axpy.
      for (std::int64_t l = 0; l < depth; ++l) {
        for (std::int64_t i = 0; i < rows; ++i) {
          const std::int64_t at =
              p.transpose_a ? (l0 + l) + (i0 + i) * p.lda : (i0 + i) + (l0 + l) * p.lda;
          panel[static_cast<std::size_t>(l * kBlock + i)] = p.a[at];
        }
      }
      for (std::int64_t j = 0; j < p.n; ++j) {
        Real* const c = p.c + i0 + j * p.ldc;
        for (std::int64_t l = 0; l < depth; ++l) {
          const Real b = p.transpose_b ? p.b[j + (l0 + l) * p.ldb] : p.b[(l0 + l) + j * p.ldb];
          const Real* const a = panel.data() + l * kBlock;
          for (std::int64_t i = 0; i < rows; ++i) c[i] += a[i] * b;
        }
      }
    }
  }
}

template void multiply_plain<float>(const HostProduct<float>&);
template void multiply_plain<double>(const HostProduct<double>&);

}  // namespace ptx_emulator::stand_ins
