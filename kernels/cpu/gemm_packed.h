#pragma once

#include "kernels/cpu/gemm.h"

namespace ovid::kernels::cpu {

// gemm() by our own product, m, n, k >= 1, after Goto and van de Geijn ("Anatomy of
// high-performance matrix multiplication", 2008). Each element is the sum over blocks of 256 of k,
// each block's by fused multiply-adds in the order of k, the blocks' in theirs: its bits depend on
// k and the instruction set alone, neither on m and n nor on threads.
void gemm_packed(ExecutionContext& ctx, const Gemm& product, const GemmEpilogue& epilogue);

}  // namespace ovid::kernels::cpu
