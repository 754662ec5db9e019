#pragma once
// The arithmetic of matrix products, compiled for AVX2 and for AVX-512 and chosen when the program
// runs.
//
// Order of a sum: k ascends, one fused multiply-add in f32 for each k (products of 16- and 8-bit
// floats are exact in it), starting from the accumulator. f16 accumulators are widened before and
// rounded once after. Hardware sums several products at once with truncation, so that neither is
// the other's bits.
//
// Layouts, with g = lane / 4 and t = lane % 4:
//   accumulator tile of 16 x 8: four slots of 32 lanes; slot i holds row g + 8 (i / 2), column 2 t
//   + i % 2.
//   packed A of 16 x K: block (q, k / 4) is 16 numbers, row 4 q + i of it the four numbers k, k +
//   1, k + 2, k + 3; block
//     (q, j) begins at 16 (q K / 4 + j).
//   packed B of K x 8: row k is 8 numbers: columns 0 2 4 6 1 3 5 7.

#include <cstdint>

namespace ptx_emulator::tensor {

// Slots of registers of mma.sync.m16n8k16 (k8: only a[0], a[1] and b[0]); outputs may be inputs.
struct HalfProduct {
  const std::uint32_t* a[4];
  const std::uint32_t* b[2];
  const float* c[4];
  float* d[4];
};

struct ProductKernels {
  void (*bf16_k16)(const HalfProduct&);
  void (*bf16_k8)(const HalfProduct&);
  void (*f16_k16)(const HalfProduct&);
  void (*f16_k8)(const HalfProduct&);
  // c (16, 8 tiles) += a (16, K) b (K, 8 tiles): tile j reads packed B at b + 8 K j and adds to the
  // four slots at c + 128 j. K is a multiple of 4.
  void (*f32)(const float* a, const float* b, float* c, std::uint32_t K, std::uint32_t tiles);
  // The same with wrapping 32-bit integers.
  void (*s32)(const std::int32_t* a, const std::int32_t* b, std::int32_t* c, std::uint32_t K,
              std::uint32_t tiles);
  // c (M, N) += a (M, K) b (K, N), dense row-major, fused multiply-adds.
  void (*f64)(const double* a, const double* b, double* c, std::uint32_t M, std::uint32_t N,
              std::uint32_t K);
};

namespace avx2 {
const ProductKernels& product_kernels();
}
namespace avx512 {
const ProductKernels& product_kernels();
}

// Those for this processor; PTX_EMULATOR_ISA=avx2 asks for the narrower ones.
const ProductKernels& product_kernels();

// Position of column n in a row of packed B, and where element (row, k) of A lies.
inline constexpr std::uint32_t packed_column(std::uint32_t n) {
  return (n >> 1) + 4 * (n & 1);
}
inline constexpr std::uint32_t packed_index_a(std::uint32_t row, std::uint32_t k, std::uint32_t K) {
  return 16 * ((row / 4) * (K / 4) + k / 4) + 4 * (row % 4) + k % 4;
}

}  // namespace ptx_emulator::tensor
