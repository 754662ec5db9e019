#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/parallel_for.h"
#include "kernels/cpu/simd.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gemm_rows.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Tag = hn::ScalableTag<float>;
using Vector = hn::Vec<Tag>;

// B (k, n): kRows rows of C times kVectors vectors of columns in registers, each element one fused
// multiply-add after the other from k = 0 on. That order is the same for every kRows and kVectors.
template <std::size_t kRows, std::size_t kVectors, bool kMasked>
HWY_INLINE void columns_in_registers(const Gemm& p, std::int64_t row, std::int64_t column,
                                     std::size_t valid) {
  const Tag d;
  const auto mask = hn::FirstN(d, valid);
  Vector sums[kRows][kVectors];
#pragma GCC unroll 16
  for (std::size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (std::size_t v = 0; v < kVectors; ++v) sums[r][v] = hn::Zero(d);
  }
  const float* a = p.a + row * p.lda;
  const float* b = p.b + column;
  for (std::int64_t l = 0; l < p.k; ++l, b += p.ldb) {
    Vector elements[kRows];
#pragma GCC unroll 16
    for (std::size_t r = 0; r < kRows; ++r)
      elements[r] = hn::Set(d, a[static_cast<std::int64_t>(r) * p.lda + l]);
#pragma GCC unroll 16
    for (std::size_t v = 0; v < kVectors; ++v) {
      const float* at = b + v * hn::Lanes(d);
      const Vector weights = kMasked ? hn::MaskedLoad(mask, d, at) : hn::LoadU(d, at);
#pragma GCC unroll 16
      for (std::size_t r = 0; r < kRows; ++r)
        sums[r][v] = hn::MulAdd(elements[r], weights, sums[r][v]);
    }
  }
#pragma GCC unroll 16
  for (std::size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (std::size_t v = 0; v < kVectors; ++v) {
      float* to = p.c + (row + static_cast<std::int64_t>(r)) * p.ldc + column + v * hn::Lanes(d);
      Vector sum = sums[r][v];
      if (p.accumulate)
        sum = hn::Add(sum, kMasked ? hn::MaskedLoad(mask, d, to) : hn::LoadU(d, to));
      if (kMasked) {
        hn::BlendedStore(sum, mask, d, to);
      } else {
        hn::StoreU(sum, d, to);
      }
    }
  }
}

// kRows rows for columns [begin, end). kVectors is wide for few rows: then the weights come from
// memory, and long consecutive reads are what counts.
template <std::size_t kRows, std::size_t kVectors>
void columns_of_rows(const Gemm& p, std::int64_t row, std::int64_t begin, std::int64_t end) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(Tag()));
  const auto wide = lanes * static_cast<std::int64_t>(kVectors);
  std::int64_t column = begin;
  for (; column + wide <= end; column += wide)
    columns_in_registers<kRows, kVectors, false>(p, row, column, 0);
  for (; column + lanes <= end; column += lanes)
    columns_in_registers<kRows, 1, false>(p, row, column, 0);
  if (column < end) {
    columns_in_registers<kRows, 1, true>(p, row, column, static_cast<std::size_t>(end - column));
  }
}

// B stored as (n, k): dot products, each summed in the lanes of one vector along k and then across
// the lanes.
template <std::size_t kRows, std::size_t kDots>
HWY_INLINE void dots_in_registers(const Gemm& p, std::int64_t row, std::int64_t column) {
  const Tag d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  Vector sums[kRows][kDots];
#pragma GCC unroll 16
  for (std::size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (std::size_t j = 0; j < kDots; ++j) sums[r][j] = hn::Zero(d);
  }
  const float* a = p.a + row * p.lda;
  const float* b = p.b + column * p.ldb;
  const auto step = [&](const auto& load, std::int64_t l) HWY_ATTR {
    Vector elements[kRows];
#pragma GCC unroll 16
    for (std::size_t r = 0; r < kRows; ++r)
      elements[r] = load(a + static_cast<std::int64_t>(r) * p.lda + l);
#pragma GCC unroll 16
    for (std::size_t j = 0; j < kDots; ++j) {
      const Vector weights = load(b + static_cast<std::int64_t>(j) * p.ldb + l);
#pragma GCC unroll 16
      for (std::size_t r = 0; r < kRows; ++r)
        sums[r][j] = hn::MulAdd(elements[r], weights, sums[r][j]);
    }
  };
  std::int64_t l = 0;
  for (; l + lanes <= p.k; l += lanes)
    step([&](const float* at) HWY_ATTR { return hn::LoadU(d, at); }, l);
  if (l < p.k) {
    const auto mask = hn::FirstN(d, static_cast<std::size_t>(p.k - l));
    step([&](const float* at) HWY_ATTR { return hn::MaskedLoad(mask, d, at); }, l);
  }
  for (std::size_t r = 0; r < kRows; ++r) {
    for (std::size_t j = 0; j < kDots; ++j) {
      float* to = p.c + (row + static_cast<std::int64_t>(r)) * p.ldc + column +
                  static_cast<std::int64_t>(j);
      const float sum = hn::GetLane(hn::SumOfLanes(d, sums[r][j]));
      *to = p.accumulate ? *to + sum : sum;
    }
  }
}

template <std::size_t kRows, std::size_t kDots>
void dots_of_rows(const Gemm& p, std::int64_t row, std::int64_t begin, std::int64_t end) {
  std::int64_t column = begin;
  for (; column + static_cast<std::int64_t>(kDots) <= end; column += kDots) {
    dots_in_registers<kRows, kDots>(p, row, column);
  }
  for (; column < end; ++column) dots_in_registers<kRows, 1>(p, row, column);
}

// Rows [row, row + rows), 1 to 4 of them.
void few_rows(const Gemm& p, std::int64_t row, std::int64_t rows, std::int64_t begin,
              std::int64_t end) {
  if (p.transpose_b) {
    if (rows == 1) return dots_of_rows<1, 8>(p, row, begin, end);
    if (rows == 2) return dots_of_rows<2, 4>(p, row, begin, end);
    if (rows == 3) return dots_of_rows<3, 4>(p, row, begin, end);
    return dots_of_rows<4, 4>(p, row, begin, end);
  }
  if (rows == 1) return columns_of_rows<1, 16>(p, row, begin, end);
  if (rows == 2) return columns_of_rows<2, 8>(p, row, begin, end);
  if (rows == 3) return columns_of_rows<3, 4>(p, row, begin, end);
  return columns_of_rows<4, 4>(p, row, begin, end);
}

// All rows for columns [begin, end). With many rows, 64 columns of B at a time, so that they stay
// in the cache from one four rows to the next.
void rows_for_columns(const Gemm& p, std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t kFew = 4;
  const std::int64_t block = p.m <= kFew ? end - begin : 64;
  for (std::int64_t first = begin; first < end; first += block) {
    const std::int64_t last = std::min(first + block, end);
    for (std::int64_t row = 0; row < p.m; row += kFew)
      few_rows(p, row, std::min(kFew, p.m - row), first, last);
  }
}

void add_bias(const Gemm& p, const GemmTile& part) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const float* bias = p.bias + part.first_column;
  for (std::int64_t i = part.first_row; i < part.first_row + part.rows; ++i) {
    float* c = p.c + i * p.ldc + part.first_column;
    std::int64_t j = 0;
    for (; j + lanes <= part.columns; j += lanes) {
      hn::StoreU(hn::Add(hn::LoadU(d, c + j), hn::LoadU(d, bias + j)), d, c + j);
    }
    for (; j < part.columns; ++j) c[j] += bias[j];
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ovid::kernels::cpu {

HWY_EXPORT(rows_for_columns);
HWY_EXPORT(add_bias);

void gemm_add_bias(const Gemm& product, const GemmTile& part) {
  if (product.bias != nullptr) HWY_DYNAMIC_DISPATCH(add_bias)(product, part);
}

void gemm_rows(int threads, const Gemm& product, const GemmEpilogue& epilogue) {
  const Gemm& p = product;
  if (p.m <= 0 || p.n <= 0) return;
  // An element's bits do not depend on the pieces, so these may depend on the threads: one wide run
  // of columns each, but no piece so small that starting it costs more than its product. Multiples
  // of 64 keep vectors whole.
  constexpr std::int64_t kLeastMultiplyAdds = std::int64_t{1} << 16;
  const std::int64_t least = kLeastMultiplyAdds / (p.m * std::max<std::int64_t>(p.k, 1)) + 1;
  const std::int64_t share = (p.n - 1) / std::max(threads, 1) + 1;
  const std::int64_t grain = (std::max(least, share) + 63) / 64 * 64;
  parallel_for(threads, p.n, grain, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(rows_for_columns)(p, begin, end);
    const GemmTile part{0, p.m, begin, end - begin};
    gemm_add_bias(p, part);
    if (epilogue) epilogue(part);
  });
}

}  // namespace ovid::kernels::cpu
#endif
