#include "kernels/cpu/gemm.h"

#include <algorithm>

#include "kernels/cpu/gemm_in_place.h"
#include "kernels/cpu/gemm_kernel.h"
#include "kernels/cpu/gemm_packed.h"
#include "kernels/cpu/gemm_tiles.h"

namespace ovid::kernels::cpu {

namespace {

enum class Multiplier { kOwn, kLibrary };

// OVID_GEMM_LIBRARY: 0 without a library, 1 where the build found one by itself, 2 where the user
// named it.
Multiplier multiplier() {
#if OVID_GEMM_LIBRARY == 2
  return Multiplier::kLibrary;
#elif OVID_GEMM_LIBRARY == 1
  // Ours is as fast or faster, and its bits depend on less. For processors without AVX2 a library
  // has code and we have none.
  return gemm_kernel_sizes().portable ? Multiplier::kLibrary : Multiplier::kOwn;
#else
  return Multiplier::kOwn;
#endif
}

// k = 0
void gemm_without_terms(const Gemm& p, const GemmEpilogue& epilogue) {
  for (std::int64_t i = 0; i < p.m && !p.accumulate; ++i) {
    std::fill_n(p.c + i * p.ldc, p.n, 0.0f);
  }
  gemm_add_bias(p, {0, p.m, 0, p.n});
  if (epilogue) epilogue({0, p.m, 0, p.n});
}

}  // namespace

void gemm(ExecutionContext& ctx, const Gemm& product, const GemmEpilogue& epilogue) {
  if (product.m <= 0 || product.n <= 0) return;
  if (product.k <= 0) {
    if (!ctx.only_measures()) gemm_without_terms(product, epilogue);
    return;
  }
#if OVID_GEMM_LIBRARY != 0
  if (multiplier() == Multiplier::kLibrary) return gemm_in_tiles(ctx, product, epilogue);
#endif
  if (fits_in_place(product)) return gemm_in_place(ctx, product, epilogue);
  gemm_packed(ctx, product, epilogue);
}

const char* gemm_library() {
  return multiplier() == Multiplier::kOwn ? "builtin" : OVID_GEMM_NAME;
}

}  // namespace ovid::kernels::cpu
