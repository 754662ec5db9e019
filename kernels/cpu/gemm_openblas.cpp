#include <cblas.h>

#include <algorithm>
#include <limits>
#include <mutex>
#include <string>

#include "kernels/common/errors.h"
#include "kernels/cpu/gemm_tiles.h"

namespace ovid::kernels::cpu {

void multiply_tile(const Gemm& p) {
  // Process-wide, and the same for all callers: threads are parallel_for's business.
  static std::once_flag once;
  std::call_once(once, [] { openblas_set_num_threads(1); });
  constexpr std::int64_t kLimit = std::numeric_limits<int>::max();
  if (std::max({p.m, p.n, p.k, p.lda, p.ldb, p.ldc}) > kLimit) {
    throw DeviceError("OpenBLAS: a side of the product is over " + std::to_string(kLimit) +
                      "; build with OVID_GEMM=onednn or builtin");
  }
  const auto as_int = [](std::int64_t value) { return static_cast<int>(value); };
  cblas_sgemm(CblasRowMajor, p.transpose_a ? CblasTrans : CblasNoTrans,
              p.transpose_b ? CblasTrans : CblasNoTrans, as_int(p.m), as_int(p.n), as_int(p.k),
              1.0f, p.a, as_int(p.lda), p.b, as_int(p.ldb), p.accumulate ? 1.0f : 0.0f, p.c,
              as_int(p.ldc));
}

}  // namespace ovid::kernels::cpu
