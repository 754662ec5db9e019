#pragma once

#include "kernels/cpu/gemm.h"

// Inside kernels/cpu: our own product for the gradient of a small weight: A
// transposed, m, n, k >= 1.
namespace ovid::kernels::cpu {

// Whether gemm_in_place() is the way: A is transposed, and both operands fit
// into second caches.
bool fits_in_place(const Gemm& product);

// gemm() with transpose_a, without a pass that packs: a thread takes its part
// of C and reads both operands where they lie; what is used again it packs for
// itself while it multiplies it for the first time. One parallel region, no
// memory shared but the operands. The bits are those of gemm_packed().
void gemm_in_place(ExecutionContext& ctx, const Gemm& product, const GemmEpilogue& epilogue);

}  // namespace ovid::kernels::cpu
