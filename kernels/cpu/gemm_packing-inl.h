// Packing of operands for the inner kernel of the matrix product, and the kernel's sizes; compiled
// once for each instruction set.

// clang-format off
#if defined(OVID_KERNELS_CPU_GEMM_PACKING_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef OVID_KERNELS_CPU_GEMM_PACKING_INL_H_
#undef OVID_KERNELS_CPU_GEMM_PACKING_INL_H_
#else
#define OVID_KERNELS_CPU_GEMM_PACKING_INL_H_
#endif
// clang-format on

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"
#include "kernels/cpu/gemm_kernel.h"
#include "kernels/cpu/prefetch.h"

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
constexpr std::int64_t kLine = 16;        // of the cache, in floats
constexpr std::int64_t kStepsAhead = 32;  // what is read in place is fetched so many k before

// Begins to load the lines that packing writes soon, kCount values of a strip: all cores have read
// what they held before.
template <std::int64_t kCount>
HWY_INLINE void prefetch_packed(const float* to) {
  constexpr std::int64_t kBytesAhead = 2048;
  for (std::int64_t i = 0; i < kCount; i += kLine) prefetch_for_writing(to + i, kBytesAhead);
}

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
      prefetch_packed<kWidth>(to);
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
    prefetch_packed<4 * kWidth>(to + l * kWidth);
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

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif  // the toggling guard
