#pragma once

#include <cstdint>

#include "kernels/cpu/gemm.h"

// Inside kernels/cpu: the pieces of our own matrix product, each on the calling
// thread and for the instruction set of this process. gemm_packed.cpp puts them
// together.
namespace ovid::kernels::cpu {

// A packed operand is a sequence of blocks of k, each a sequence of strips,
// each k rows of `width` values: what the inner kernel reads, in its order. All
// blocks but the last have kGemmBlock rows.
inline constexpr std::int64_t kGemmBlock = 256;

// The rows of A and the columns of B that the inner kernel takes at once, and
// whether it is written for the processor (AVX2, AVX-512) or portable.
struct GemmKernelSizes {
  std::int64_t rows, columns;
  bool portable;
};
GemmKernelSizes gemm_kernel_sizes();

// A part of one operand to be packed: `k` rows of one block, `count` lines
// (rows of A, columns of B). Where lines_are_adjacent, neighbouring lines are
// neighbours in memory and `stride` lies between rows of k; else neighbouring k
// are, and `stride` lies between lines. What is missing of the last strip
// becomes zero.
struct GemmPacking {
  const float* from;
  std::int64_t stride;
  bool lines_are_adjacent;
  std::int64_t count, k;
  float* to;
};
void gemm_pack_rows(const GemmPacking& packing);     // strips of gemm_kernel_sizes().rows
void gemm_pack_columns(const GemmPacking& packing);  // strips of gemm_kernel_sizes().columns

// C (rows, columns) = A B or C += A B for one block of k. a and b are at the
// first strip. Each element is summed over the block in the order of k by fused
// multiply-adds from zero (the portable target rounds the product too), and
// then stored or added: its bits depend neither on the size of the part nor on
// its place in it.
struct GemmBlockProduct {
  const float* a;
  std::int64_t a_stride;  // 0: A is packed; else it is not, and this lies
                          // between its rows
  const float* b;
  std::int64_t k;
  float* c;
  std::int64_t ldc, rows, columns;
  bool accumulate;
  const float* bias;    // (columns), added last to every row; or null
  const float* next_b;  // the strip of B that is needed next, fetched meanwhile; or null
};
void gemm_multiply_block(const GemmBlockProduct& product);

// Where values of A lie for gemm_multiply_strip.
enum class GemmRows {
  kPacked,
  kRowsAdjacent,  // k `a_stride` apart, neighbouring rows side by side: read in
                  // place, and packed
};

// Part of an operand that is multiplied soon: `rows` rows, `stride` apart, of `columns` adjacent
// values.
struct GemmAhead {
  const float* at = nullptr;
  std::int64_t stride = 0, rows = 0, columns = 0;
};

// The same for one strip of C's columns, from operands that need not be packed
// before: what is read in place is packed on the way, while it is multiplied
// for the first time.
struct GemmStripProduct {
  GemmRows rows_of_a;
  const float* a;
  std::int64_t a_stride;
  float* a_packed;  // kRowsAdjacent: written, as many whole strips as cover `rows`
  const float* b;   // where b_stride > 0 (k, columns) in rows b_stride apart,
                    // else a packed strip
  std::int64_t b_stride;
  float* b_packed;  // b_stride > 0: written, one strip
  std::int64_t k;
  float* c;
  std::int64_t ldc, rows, columns;  // columns: a strip's at most
  bool accumulate;
  const float* bias;  // (columns), added last to every row; or null
  // Fetched into the second cache meanwhile, in this order, as far as there is time.
  GemmAhead next_b = {}, next_a = {};
};
void gemm_multiply_strip(const GemmStripProduct& product);

// Adds the product's bias, where it has one, to a part of C: for products whose
// kernel does not. Defined in gemm_rows.cpp.
void gemm_add_bias(const Gemm& product, const GemmTile& part);

}  // namespace ovid::kernels::cpu
