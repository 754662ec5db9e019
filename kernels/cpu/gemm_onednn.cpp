#include <dnnl.h>
#include <omp.h>

#include <string>

#include "kernels/common/errors.h"
#include "kernels/cpu/gemm_tiles.h"

namespace ovid::kernels::cpu {

namespace {

// oneDNN takes omp_get_max_threads() threads unless it is called in an active parallel region. A
// piece that runs alone (one thread asked for, a single piece, our own pool) is in none, and its
// bits would depend on the machine's cores.
class OneOpenMpThread {
 public:
  OneOpenMpThread() : before_(omp_get_max_threads()) {
    if (before_ != 1) omp_set_num_threads(1);
  }
  ~OneOpenMpThread() {
    if (before_ != 1) omp_set_num_threads(before_);
  }
  OneOpenMpThread(const OneOpenMpThread&) = delete;
  OneOpenMpThread& operator=(const OneOpenMpThread&) = delete;

 private:
  int before_;
};

}  // namespace

void multiply_tile(const Gemm& p) {
  const OneOpenMpThread one;
  const dnnl_status_t status =
      dnnl_sgemm(p.transpose_a ? 'T' : 'N', p.transpose_b ? 'T' : 'N', p.m, p.n, p.k, 1.0f, p.a,
                 p.lda, p.b, p.ldb, p.accumulate ? 1.0f : 0.0f, p.c, p.ldc);
  if (status != dnnl_success) {
    throw DeviceError("oneDNN: dnnl_sgemm of m, n, k = " + std::to_string(p.m) + ", " +
                      std::to_string(p.n) + ", " + std::to_string(p.k) + " failed with status " +
                      std::to_string(status));
  }
}

}  // namespace ovid::kernels::cpu
