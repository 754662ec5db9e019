#pragma once

#include <cstdint>
#include <functional>

#include "kernels/common/execution_context.h"

namespace ovid::kernels::cpu {

// C = A B, or C += A B, of float32 matrices in row-major order.
//   A (m, k), or stored as (k, m) where transpose_a; B (k, n), or stored as (n, k) where
//   transpose_b; C (m, n).
// lda, ldb, ldc are the distances between stored rows in elements. C must overlap neither A nor B.
// What C held before is not read unless `accumulate`. m, n, k may be zero; k = 0 gives C = 0 (or
// leaves it).
struct Gemm {
  bool transpose_a = false;
  bool transpose_b = false;
  std::int64_t m, n, k;
  const float* a;
  std::int64_t lda;
  const float* b;
  std::int64_t ldb;
  float* c;
  std::int64_t ldc;
  bool accumulate = false;
  const float* bias = nullptr;  // (n), added to each row of C at the end; null: none
};

// A part of C that is complete: called once for each element, from several threads, each for its
// own part, while the part is still in that thread's cache. For what follows a product element by
// element: GELU.
struct GemmTile {
  std::int64_t first_row, rows, first_column, columns;
};
using GemmEpilogue = std::function<void(const GemmTile&)>;

// On ctx.threads() threads. The bits do not depend on the number of threads. By our own product
// (gemm_packed.h) they depend on k and the instruction set alone; by a library, on m and n too.
// Takes scratch (a dry run measures it; pointers may be null there). Throws DeviceError where a
// library refuses.
void gemm(ExecutionContext& ctx, const Gemm& product, const GemmEpilogue& epilogue = nullptr);

// The same product, without transpose_a, such that each row of C has the bits that it would have
// alone: every element is summed over k in an order that depends on (n, k) only. Reads B once for
// every few rows: good for one to some dozens of rows. Takes no scratch.
void gemm_rows(int threads, const Gemm& product, const GemmEpilogue& epilogue = nullptr);

// What gemm() multiplies with on this machine: "builtin", our own product, where the build option
// OVID_GEMM names no library and the processor has AVX2 or AVX-512; else "onednn" or "openblas",
// where the build has one.
const char* gemm_library();

}  // namespace ovid::kernels::cpu
