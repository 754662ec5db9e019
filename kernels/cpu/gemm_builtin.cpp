#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/gemm_tiles.h"
#include "kernels/cpu/simd.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gemm_builtin.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

// A matrix product after Goto and van de Geijn ("Anatomy of high-performance matrix
// multiplication", 2008): blocks of A and B are packed so that the inner kernel reads them in
// order; the kernel keeps kRows x kColumns sums in registers.
HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// The sums fill the registers but those for one row of B and one element of A: of 32 with AVX-512,
// 16 otherwise.
#if HWY_TARGET == HWY_AVX3
constexpr std::size_t kRows = 8, kVectors = 3;
using Lanes = hn::CappedTag<float, 16>;
#elif HWY_TARGET == HWY_SCALAR
constexpr std::size_t kRows = 4, kVectors = 3;
using Lanes = hn::CappedTag<float, 1>;
#else
constexpr std::size_t kRows = 6, kVectors = 2;
using Lanes = hn::CappedTag<float, 8>;
#endif
constexpr std::size_t kColumns = kVectors * hn::MaxLanes(Lanes());

// Blocks: 48 x 256 of A (48 KiB) and 256 x 288 of B (288 KiB) stay in the second cache, a strip of
// each in the first. A is packed again for each block of B: hence the wide one.
constexpr std::int64_t kBlockM = 48, kBlockN = 288, kBlockK = 256;
static_assert(kBlockM % kRows == 0 && kBlockN % kColumns == 0);

// Strips of kWidth rows (or columns) of a block, each as k rows of kWidth values; what is missing
// at the edge is zero.
template <std::int64_t kWidth>
void pack(const float* HWY_RESTRICT from, std::int64_t stride_k, std::int64_t stride,
          std::int64_t count, std::int64_t k, float* HWY_RESTRICT to) {
  for (std::int64_t first = 0; first < count; first += kWidth, to += k * kWidth) {
    const std::int64_t present = std::min(kWidth, count - first);
    const float* strip = from + first * stride;
    if (present < kWidth) std::fill_n(to, k * kWidth, 0.0f);
    if (stride == 1 && present == kWidth) {
      for (std::int64_t l = 0; l < k; ++l)
        std::copy_n(strip + l * stride_k, kWidth, to + l * kWidth);
    } else if (stride == 1) {
      for (std::int64_t l = 0; l < k; ++l)
        std::copy_n(strip + l * stride_k, present, to + l * kWidth);
    } else {
      // Values are consecutive along k: a cache line of each row at a time.
      for (std::int64_t l = 0; l < k; l += 16) {
        const std::int64_t end = std::min(l + 16, k);
        for (std::int64_t i = 0; i < present; ++i) {
          for (std::int64_t at = l; at < end; ++at)
            to[at * kWidth + i] = strip[i * stride + at * stride_k];
        }
      }
    }
  }
}

// out (kRows, kColumns) = one strip of A times one strip of B.
HWY_INLINE void multiply_strips(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b,
                                std::int64_t k, float* HWY_RESTRICT out) {
  const Lanes d;
  using Vector = hn::Vec<Lanes>;
  Vector sums[kRows][kVectors];
#pragma GCC unroll 8
  for (std::size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
    for (std::size_t j = 0; j < kVectors; ++j) sums[i][j] = hn::Zero(d);
  }
  for (std::int64_t l = 0; l < k; ++l, a += kRows, b += kColumns) {
    Vector row[kVectors];
#pragma GCC unroll 8
    for (std::size_t j = 0; j < kVectors; ++j) row[j] = hn::Load(d, b + j * hn::Lanes(d));
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kRows; ++i) {
      const Vector element = hn::Set(d, a[i]);
#pragma GCC unroll 8
      for (std::size_t j = 0; j < kVectors; ++j)
        sums[i][j] = hn::MulAdd(element, row[j], sums[i][j]);
    }
  }
#pragma GCC unroll 8
  for (std::size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
    for (std::size_t j = 0; j < kVectors; ++j) {
      hn::Store(sums[i][j], d, out + i * kColumns + j * hn::Lanes(d));
    }
  }
}

void multiply_blocks(const float* a, const float* b, std::int64_t k, float* c, std::int64_t ldc,
                     std::int64_t rows, std::int64_t columns, bool accumulate) {
  constexpr auto kR = static_cast<std::int64_t>(kRows), kC = static_cast<std::int64_t>(kColumns);
  alignas(64) float out[kRows * kColumns];
  for (std::int64_t j = 0; j < columns; j += kC) {
    for (std::int64_t i = 0; i < rows; i += kR) {
      multiply_strips(a + i * k, b + j * k, k, out);
      const std::int64_t present = std::min(kC, columns - j);
      for (std::int64_t r = 0; r < std::min(kR, rows - i); ++r) {
        float* to = c + (i + r) * ldc + j;
        const float* from = out + r * kC;
        if (accumulate) {
          for (std::int64_t l = 0; l < present; ++l) to[l] += from[l];
        } else {
          for (std::int64_t l = 0; l < present; ++l) to[l] = from[l];
        }
      }
    }
  }
}

void multiply(const Gemm& p) {
  // On the stack of the thread that computes: 336 KiB.
  alignas(64) float packed_a[kBlockM * kBlockK];
  alignas(64) float packed_b[kBlockN * kBlockK];
  const std::int64_t a_k = p.transpose_a ? p.lda : 1, a_m = p.transpose_a ? 1 : p.lda;
  const std::int64_t b_k = p.transpose_b ? 1 : p.ldb, b_n = p.transpose_b ? p.ldb : 1;
  for (std::int64_t n = 0; n < p.n; n += kBlockN) {
    const std::int64_t columns = std::min(kBlockN, p.n - n);
    for (std::int64_t l = 0; l < p.k; l += kBlockK) {
      const std::int64_t k = std::min(kBlockK, p.k - l);
      pack<kColumns>(p.b + l * b_k + n * b_n, b_k, b_n, columns, k, packed_b);
      for (std::int64_t m = 0; m < p.m; m += kBlockM) {
        const std::int64_t rows = std::min(kBlockM, p.m - m);
        pack<kRows>(p.a + l * a_k + m * a_m, a_k, a_m, rows, k, packed_a);
        multiply_blocks(packed_a, packed_b, k, p.c + m * p.ldc + n, p.ldc, rows, columns,
                        p.accumulate || l > 0);
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ovid::kernels::cpu {

HWY_EXPORT(multiply);

void multiply_tile(const Gemm& product) {
  HWY_DYNAMIC_DISPATCH(multiply)(product);
}

}  // namespace ovid::kernels::cpu
#endif
