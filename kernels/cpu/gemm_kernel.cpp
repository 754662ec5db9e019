#include "kernels/cpu/gemm_kernel.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/cpu/simd.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gemm_kernel.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// for hwy::Prefetch
#include "hwy/cache_control.h"

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// The sums fill the registers but those for one row of B and one element of A: of 32 with AVX-512,
// 16 otherwise.
#if HWY_TARGET == HWY_AVX3
constexpr int kRows = 14, kVectors = 2;
using Lanes = hn::CappedTag<float, 16>;
#elif HWY_TARGET == HWY_SCALAR
constexpr int kRows = 4, kVectors = 3;
using Lanes = hn::CappedTag<float, 1>;
#else
constexpr int kRows = 6, kVectors = 2;
using Lanes = hn::CappedTag<float, 8>;
#endif
constexpr auto kLanes = static_cast<std::int64_t>(hn::MaxLanes(Lanes()));
constexpr std::int64_t kColumns = kVectors * kLanes;
constexpr std::int64_t kLine = 16;  // of the cache, in floats

// kCount consecutive values.
template <std::int64_t kCount>
HWY_INLINE void copy_values(const float* HWY_RESTRICT from, float* HWY_RESTRICT to) {
  const Lanes d;
  std::int64_t i = 0;
#pragma GCC unroll 8
  for (; i + kLanes <= kCount; i += kLanes) hn::StoreU(hn::LoadU(d, from + i), d, to + i);
  if constexpr (kCount % kLanes != 0) {
    const auto mask = hn::FirstN(d, static_cast<std::size_t>(kCount % kLanes));
    hn::BlendedStore(hn::MaskedLoad(mask, d, from + i), mask, d, to + i);
  }
}

template <std::int64_t kWidth>
void pack_adjacent_lines(const GemmPacking& p) {
  const std::int64_t whole = p.count / kWidth, rest = p.count % kWidth;
  for (std::int64_t l = 0; l < p.k; ++l) {
    const float* row = p.from + l * p.stride;
    float* to = p.to + l * kWidth;
    for (std::int64_t strip = 0; strip < whole; ++strip) {
      copy_values<kWidth>(row, to);
      row += kWidth;
      to += p.k * kWidth;
    }
    if (rest == 0) continue;
    std::copy_n(row, rest, to);
    std::fill_n(to + rest, kWidth - rest, 0.0f);
  }
}

// Four lines and four k to four rows of a strip.
template <std::int64_t kWidth>
HWY_INLINE void transpose_four(const float* HWY_RESTRICT from, std::int64_t stride,
                               float* HWY_RESTRICT to) {
#if HWY_TARGET == HWY_SCALAR
  for (int i = 0; i < 4; ++i) {
    for (int l = 0; l < 4; ++l) to[l * kWidth + i] = from[i * stride + l];
  }
#else
  const hn::FixedTag<float, 4> d;
  const hn::RepartitionToWide<decltype(d)> d2;
  const auto r0 = hn::LoadU(d, from), r1 = hn::LoadU(d, from + stride);
  const auto r2 = hn::LoadU(d, from + 2 * stride), r3 = hn::LoadU(d, from + 3 * stride);
  const auto low01 = hn::BitCast(d2, hn::InterleaveLower(d, r0, r1));
  const auto low23 = hn::BitCast(d2, hn::InterleaveLower(d, r2, r3));
  const auto high01 = hn::BitCast(d2, hn::InterleaveUpper(d, r0, r1));
  const auto high23 = hn::BitCast(d2, hn::InterleaveUpper(d, r2, r3));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d2, low01, low23)), d, to);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d2, low01, low23)), d, to + kWidth);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d2, high01, high23)), d, to + 2 * kWidth);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d2, high01, high23)), d, to + 3 * kWidth);
#endif
}

// One whole strip. Where kWidth is no multiple of four the last four lines overlap those before.
template <std::int64_t kWidth>
void transpose_strip(const float* from, std::int64_t stride, std::int64_t k, float* to) {
  std::int64_t l = 0;
  for (; l + 4 <= k; l += 4) {
#pragma GCC unroll 8
    for (std::int64_t i = 0; i + 4 <= kWidth; i += 4) {
      transpose_four<kWidth>(from + i * stride + l, stride, to + l * kWidth + i);
    }
    if constexpr (kWidth % 4 != 0) {
      constexpr std::int64_t kLast = std::max<std::int64_t>(kWidth - 4, 0);
      transpose_four<kWidth>(from + kLast * stride + l, stride, to + l * kWidth + kLast);
    }
  }
  for (; l < k; ++l) {
    for (std::int64_t i = 0; i < kWidth; ++i) to[l * kWidth + i] = from[i * stride + l];
  }
}

template <std::int64_t kWidth>
void pack_distant_lines(const GemmPacking& p) {
  const float* from = p.from;
  float* to = p.to;
  std::int64_t left = p.count;
  for (; left >= kWidth; left -= kWidth, from += kWidth * p.stride, to += p.k * kWidth) {
    if constexpr (kWidth >= 4) {
      transpose_strip<kWidth>(from, p.stride, p.k, to);
    } else {
      for (std::int64_t l = 0; l < p.k; ++l) {
        for (std::int64_t i = 0; i < kWidth; ++i) to[l * kWidth + i] = from[i * p.stride + l];
      }
    }
  }
  if (left == 0) return;
  for (std::int64_t l = 0; l < p.k; ++l) {
    for (std::int64_t i = 0; i < left; ++i) to[l * kWidth + i] = from[i * p.stride + l];
    std::fill_n(to + l * kWidth + left, kWidth - left, 0.0f);
  }
}

template <std::int64_t kWidth>
void pack(const GemmPacking& p) {
  if (p.lines_are_adjacent) return pack_adjacent_lines<kWidth>(p);
  pack_distant_lines<kWidth>(p);
}

void pack_rows(const GemmPacking& p) {
  pack<kRows>(p);
}

void pack_columns(const GemmPacking& p) {
  pack<kColumns>(p);
}

// One vector of a row of C: all lanes, or the first `columns`.
HWY_INLINE void store_sum(hn::Vec<Lanes> sum, float* c, std::int64_t columns, bool accumulate) {
  const Lanes d;
  if (columns >= kLanes) {
    if (accumulate) sum = hn::Add(hn::LoadU(d, c), sum);
    hn::StoreU(sum, d, c);
  } else if (columns > 0) {
    const auto mask = hn::FirstN(d, static_cast<std::size_t>(columns));
    if (accumulate) sum = hn::Add(hn::MaskedLoad(mask, d, c), sum);
    hn::BlendedStore(sum, mask, d, c);
  }
}

// Where the inner kernel finds row i of a strip of A at step l: values[i * row + l * step].
struct PackedRows {
  static constexpr std::int64_t row() { return 1; }
  static constexpr std::int64_t step() { return kRows; }
};
struct RowsInPlace {
  std::int64_t stride;
  std::int64_t row() const { return stride; }
  static constexpr std::int64_t step() { return 1; }
};

// One strip of B with the first kCount rows of a strip of A. Meanwhile it fetches its part of C,
// the strip of A behind this one where A is packed, and from `fetch` on one line for every two k:
// packed operands often come from the third cache, whose latency the processor's own prefetching
// does not hide at the start of each strip (without: 128 to 163 GFLOP/s, with: 159 to 168; one core
// of a Xeon of the Emerald Rapids generation with AVX-512, peak 176).
template <int kCount, class Layout>
HWY_INLINE void multiply_strips(const GemmBlockProduct& p, const Layout& layout,
                                const float* fetch) {
  constexpr bool kPacked = std::is_same_v<Layout, PackedRows>;
  const Lanes d;
  using Vector = hn::Vec<Lanes>;
  Vector sums[kCount][kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kCount; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) sums[i][j] = hn::Zero(d);
#pragma GCC unroll 4
    for (std::int64_t j = 0; j < kColumns; j += kLine) hwy::Prefetch(p.c + i * p.ldc + j);
  }
  // Every third row has its own pointer: the two behind it are reached by the processor's scaled
  // index. (kCount + 2) / 3 pointers fit into the registers, kCount do not.
  constexpr int kPointers = (kCount + 2) / 3;
  const float* a[kPointers];
#pragma GCC unroll 8
  for (int i = 0; i < kPointers; ++i) a[i] = p.a + 3 * i * layout.row();
  const float* HWY_RESTRICT b = p.b;
  const std::int64_t row_stride = layout.row();
  const std::int64_t next_a = kRows * p.k;  // from here: the next strip of A
  const auto step = [&]() HWY_ATTR {
    Vector row[kVectors];
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) row[j] = hn::Load(d, b + j * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < kCount; ++i) {
      const Vector element = hn::Set(d, a[i / 3][i % 3 * row_stride]);
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) sums[i][j] = hn::MulAdd(element, row[j], sums[i][j]);
    }
    if constexpr (kPacked) hwy::Prefetch(a[0] + next_a);
#pragma GCC unroll 8
    for (int i = 0; i < kPointers; ++i) a[i] += layout.step();
    b += kColumns;
  };
  std::int64_t l = 0;
  for (; l + 2 <= p.k; l += 2) {
    hwy::Prefetch(fetch);
    fetch += kLine;
    step();
    step();
  }
  if (l < p.k) step();
#pragma GCC unroll 16
  for (int i = 0; i < kCount; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) {
      store_sum(sums[i][j], p.c + i * p.ldc + j * kLanes, p.columns - j * kLanes, p.accumulate);
    }
  }
}

template <int kCount, class Layout>
void multiply_last_strips(const GemmBlockProduct& p, const Layout& layout, const float* fetch) {
  if constexpr (kCount > 0) {
    if (p.rows == kCount) return multiply_strips<kCount>(p, layout, fetch);
    multiply_last_strips<kCount - 1>(p, layout, fetch);
  }
}

// A strip of B stays in the first cache while all strips of A pass it.
template <class Layout>
void multiply_laid_out(const GemmBlockProduct& p, const Layout& layout) {
  GemmBlockProduct strips = p;
  const std::int64_t share = p.k / 2 * kLine;  // what one call of multiply_strips fetches
  const std::int64_t row_distance = std::is_same_v<Layout, PackedRows> ? p.k : layout.row();
  for (std::int64_t j = 0; j < p.columns; j += kColumns) {
    strips.b = p.b + j * p.k;
    strips.columns = std::min(kColumns, p.columns - j);
    const float* next = j + kColumns < p.columns ? strips.b + kColumns * p.k : p.next_b;
    std::int64_t left = next == nullptr ? 0 : kColumns * p.k;
    const auto fetched_now = [&] {
      if (left <= 0) return strips.b;
      const float* at = next;
      next += share;
      left -= share;
      return at;
    };
    std::int64_t i = 0;
    for (; i + kRows <= p.rows; i += kRows) {
      strips.a = p.a + i * row_distance;
      strips.c = p.c + i * p.ldc + j;
      multiply_strips<kRows>(strips, layout, fetched_now());
    }
    strips.rows = p.rows - i;
    strips.a = p.a + i * row_distance;
    strips.c = p.c + i * p.ldc + j;
    multiply_last_strips<kRows - 1>(strips, layout, fetched_now());
  }
}

void multiply_block(const GemmBlockProduct& p) {
  if (p.a_stride == 0) return multiply_laid_out(p, PackedRows{});
  multiply_laid_out(p, RowsInPlace{p.a_stride});
}

GemmKernelSizes kernel_sizes() {
  return {kRows, kColumns, HWY_TARGET != HWY_AVX3 && HWY_TARGET != HWY_AVX2};
}

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ovid::kernels::cpu {

HWY_EXPORT(kernel_sizes);
HWY_EXPORT(pack_rows);
HWY_EXPORT(pack_columns);
HWY_EXPORT(multiply_block);

GemmKernelSizes gemm_kernel_sizes() {
  return HWY_DYNAMIC_DISPATCH(kernel_sizes)();
}

void gemm_pack_rows(const GemmPacking& packing) {
  HWY_DYNAMIC_DISPATCH(pack_rows)(packing);
}

void gemm_pack_columns(const GemmPacking& packing) {
  HWY_DYNAMIC_DISPATCH(pack_columns)(packing);
}

void gemm_multiply_block(const GemmBlockProduct& product) {
  HWY_DYNAMIC_DISPATCH(multiply_block)(product);
}

}  // namespace ovid::kernels::cpu
#endif
