#include "kernels/cpu/gemm_kernel.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/cpu/prefetch.h"
#include "kernels/cpu/simd.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gemm_kernel.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/gemm_packing-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

void pack_rows(const GemmPacking& p) {
  pack<kRows>(p);
}

void pack_columns(const GemmPacking& p) {
  pack<kColumns>(p);
}

// One vector of a row of C: all lanes, or the first `columns`; plus `bias`
// where it is not null.
HWY_INLINE void store_sum(hn::Vec<Lanes> sum, float* c, std::int64_t columns, bool accumulate,
                          const float* bias) {
  const Lanes d;
  if (columns >= kLanes) {
    if (accumulate) sum = hn::Add(hn::LoadU(d, c), sum);
    if (bias != nullptr) sum = hn::Add(sum, hn::LoadU(d, bias));
    hn::StoreU(sum, d, c);
  } else if (columns > 0) {
    const auto mask = hn::FirstN(d, static_cast<std::size_t>(columns));
    if (accumulate) sum = hn::Add(hn::MaskedLoad(mask, d, c), sum);
    if (bias != nullptr) sum = hn::Add(sum, hn::MaskedLoad(mask, d, bias));
    hn::BlendedStore(sum, mask, d, c);
  }
}

// Rows that lie a power of two apart share few sets of the first cache, which
// has no room for as many of them as must be under way at once. Any address
// will do: it is never read.
HWY_INLINE void fetch_to_second_cache(const float* at) {
  __builtin_prefetch(at, 0, 2);
}

// Where the inner kernel finds row i of a strip of A at step l: values[i * row
// + l * step], and whether it packs them on the way.
struct PackedRows {
  static constexpr bool kRowsApart = false, kPacks = false;
  static constexpr std::int64_t row() { return 1; }
  static constexpr std::int64_t step() { return kRows; }
};
struct RowsInPlace {
  static constexpr bool kRowsApart = true, kPacks = false;
  std::int64_t stride;
  std::int64_t row() const { return stride; }
  static constexpr std::int64_t step() { return 1; }
};
struct RowsPackedOnTheWay {
  static constexpr bool kRowsApart = false, kPacks = true;
  std::int64_t stride;
  float* to;
  static constexpr std::int64_t row() { return 1; }
  std::int64_t step() const { return stride; }
};

// The same for the columns of a strip of B at step l: values[l * step].
struct PackedColumns {
  static constexpr bool kPacks = false;
  static constexpr std::int64_t step() { return kColumns; }
};
struct ColumnsPackedOnTheWay {
  static constexpr bool kPacks = true;
  std::int64_t stride;
  float* to;
  std::int64_t step() const { return stride; }
};

// A strip of A with one of B.
struct StripPair {
  const float* a;
  const float* b;
  std::int64_t k;
  float* c;
  std::int64_t ldc, rows, columns;
  bool accumulate;
  const float* bias;
  // From here on one line is fetched for every two k, in steps of so many values.
  const float* fetch;
  std::int64_t fetch_step = kLine;
};

// The rows of C are fetched one by one while the first k are multiplied: all at
// once they would take every buffer that the first cache has for lines under
// way (154 against 151 us at 768 x 128 x 128, one core of a Xeon of the Emerald
// Rapids generation with AVX-512). `fetch`: packed operands often come from the
// third cache, whose latency the processor's own prefetching does not hide at
// the start of each strip (without: 128 to 163 GFLOP/s, with: 159 to 168, peak
// 176).
template <int kCount, class LayoutA, class LayoutB>
HWY_NOINLINE void multiply_strips(const StripPair& p, const LayoutA& layout,
                                  const LayoutB& b_layout) {
  const Lanes d;
  using Vector = hn::Vec<Lanes>;
  Vector sums[kCount][kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kCount; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) sums[i][j] = hn::Zero(d);
  }
  // Where rows lie apart every third has its own pointer: the two behind it are
  // reached by the processor's scaled index. (kCount + 2) / 3 pointers fit into
  // the registers, kCount do not.
  constexpr int kRowsOfPointer = LayoutA::kRowsApart ? 3 : kCount;
  constexpr int kPointers = (kCount + kRowsOfPointer - 1) / kRowsOfPointer;
  const std::int64_t row = layout.row(), step = layout.step(), b_step = b_layout.step();
  const float* a[kPointers];
#pragma GCC unroll 8
  for (int i = 0; i < kPointers; ++i) a[i] = p.a + kRowsOfPointer * i * row;
  const float* HWY_RESTRICT b = p.b;
  const float* fetch = p.fetch;
  const std::int64_t fetch_step = p.fetch_step;
  [[maybe_unused]] float* HWY_RESTRICT a_to = nullptr;
  [[maybe_unused]] float* HWY_RESTRICT b_to = nullptr;
  if constexpr (LayoutA::kPacks) a_to = layout.to;
  if constexpr (LayoutB::kPacks) b_to = b_layout.to;
  const auto multiply_step = [&]() __attribute__((always_inline)) HWY_ATTR {
    Vector of_b[kVectors];
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) of_b[j] = hn::LoadU(d, b + j * kLanes);
    if constexpr (LayoutB::kPacks) {
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) hn::Store(of_b[j], d, b_to + j * kLanes);
      b_to += kColumns;
      for (int j = 0; j < kColumns; j += kLine) fetch_to_second_cache(b + kStepsAhead * b_step + j);
    }
    if constexpr (LayoutA::kPacks) {
      copy_values<kRows>(a[0], a_to);
      a_to += kRows;
      fetch_to_second_cache(a[0] + kStepsAhead * step);
      fetch_to_second_cache(a[0] + kStepsAhead * step + kRows - 1);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kCount; ++i) {
      const Vector element = hn::Set(d, a[i / kRowsOfPointer][i % kRowsOfPointer * row]);
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) sums[i][j] = hn::MulAdd(element, of_b[j], sums[i][j]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < kPointers; ++i) a[i] += step;
    b += b_step;
  };
  const float* c_row = p.c;
  const float* const last_c_row = p.c + (kCount - 1) * p.ldc;
  std::int64_t l = 0;
  for (; l + 2 <= p.k; l += 2) {
#pragma GCC unroll 4
    for (std::int64_t j = 0; j < kColumns; j += kLine) prefetch_for_writing(c_row + j, 0);
    c_row = c_row == last_c_row ? c_row : c_row + p.ldc;
    fetch_to_second_cache(fetch);
    fetch += fetch_step;
    multiply_step();
    multiply_step();
  }
  if (l < p.k) multiply_step();
#pragma GCC unroll 16
  for (int i = 0; i < kCount; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) {
      store_sum(sums[i][j], p.c + i * p.ldc + j * kLanes, p.columns - j * kLanes, p.accumulate,
                p.bias == nullptr ? nullptr : p.bias + j * kLanes);
    }
  }
}

template <int kCount, class Layout>
void multiply_last_strips(const StripPair& p, const Layout& layout) {
  if constexpr (kCount > 0) {
    if (p.rows == kCount) return multiply_strips<kCount>(p, layout, PackedColumns{});
    multiply_last_strips<kCount - 1>(p, layout);
  }
}

// A strip of B stays in the first cache while all strips of A pass it.
template <class Layout>
void multiply_laid_out(const GemmBlockProduct& p, const Layout& layout) {
  const std::int64_t share = p.k / 2 * kLine;  // what one call of multiply_strips fetches
  const std::int64_t row_distance = Layout::kRowsApart ? layout.row() : p.k;
  for (std::int64_t j = 0; j < p.columns; j += kColumns) {
    StripPair strips{.a = p.a,
                     .b = p.b + j * p.k,
                     .k = p.k,
                     .c = p.c + j,
                     .ldc = p.ldc,
                     .rows = 0,
                     .columns = std::min(kColumns, p.columns - j),
                     .accumulate = p.accumulate,
                     .bias = p.bias == nullptr ? nullptr : p.bias + j,
                     .fetch = nullptr};
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
      strips.fetch = fetched_now();
      multiply_strips<kRows>(strips, layout, PackedColumns{});
      strips.a += kRows * row_distance;
      strips.c += kRows * p.ldc;
    }
    strips.rows = p.rows - i;
    strips.fetch = fetched_now();
    multiply_last_strips<kRows - 1>(strips, layout);
  }
}

void multiply_block(const GemmBlockProduct& p) {
  if (p.a_stride == 0) return multiply_laid_out(p, PackedRows{});
  multiply_laid_out(p, RowsInPlace{p.a_stride});
}

// One whole strip of A.
template <class LayoutB>
void multiply_whole_strip(const GemmStripProduct& p, const StripPair& strips,
                          std::int64_t first_row, const LayoutB& b_layout) {
  switch (p.rows_of_a) {
    case GemmRows::kPacked:
      return multiply_strips<kRows>(strips, PackedRows{}, b_layout);
    case GemmRows::kRowsAdjacent:
      return multiply_strips<kRows>(
          strips, RowsPackedOnTheWay{p.a_stride, p.a_packed + first_row * p.k}, b_layout);
  }
}

// The lines of a part that is multiplied soon: the first of each row, then the second of each.
class LinesAhead {
 public:
  explicit LinesAhead(const GemmAhead& part) : part_(part) {}

  // Makes `strips` fetch the next `count` lines. False: there are none left.
  bool give(std::int64_t count, StripPair& strips) {
    if (column_ >= part_.columns || count == 0) return false;
    strips.fetch = part_.at + row_ * part_.stride + column_;
    strips.fetch_step = part_.stride;
    row_ += count;
    if (row_ < part_.rows) return true;
    row_ = 0;
    column_ += kLine;
    return true;
  }

 private:
  const GemmAhead part_;
  std::int64_t row_ = 0, column_ = 0;
};

void multiply_strip(const GemmStripProduct& p) {
  const std::int64_t row_distance = p.rows_of_a == GemmRows::kPacked ? p.k : 1;
  StripPair strips{.a = p.a,
                   .b = p.b,
                   .k = p.k,
                   .c = p.c,
                   .ldc = p.ldc,
                   .rows = 0,
                   .columns = p.columns,
                   .accumulate = p.accumulate,
                   .bias = p.bias,
                   .fetch = p.b,
                   .fetch_step = 0};
  LinesAhead next_b(p.next_b), next_a(p.next_a);
  bool is_packed = p.b_stride == 0;
  if (!is_packed && (p.columns < kColumns || p.rows < kRows)) {
    pack_adjacent_lines<kColumns>({.from = p.b,
                                   .stride = p.b_stride,
                                   .lines_are_adjacent = true,
                                   .count = p.columns,
                                   .k = p.k,
                                   .to = p.b_packed});
    strips.b = p.b_packed;
    is_packed = true;
  }
  std::int64_t i = 0;
  for (; i + kRows <= p.rows; i += kRows) {
    const std::int64_t lines = p.k / 2;  // what one call of multiply_strips fetches
    if (!next_b.give(lines, strips) && !next_a.give(lines, strips)) strips.fetch_step = 0;
    if (is_packed) {
      multiply_whole_strip(p, strips, i, PackedColumns{});
    } else {
      multiply_whole_strip(p, strips, i, ColumnsPackedOnTheWay{p.b_stride, p.b_packed});
      strips.b = p.b_packed;
      is_packed = true;
    }
    strips.a += kRows * row_distance;
    strips.c += kRows * p.ldc;
  }
  strips.rows = p.rows - i;
  if (strips.rows == 0) return;
  if (p.rows_of_a == GemmRows::kRowsAdjacent) {
    float* packed = p.a_packed + i * p.k;
    pack_adjacent_lines<kRows>({.from = strips.a,
                                .stride = p.a_stride,
                                .lines_are_adjacent = true,
                                .count = strips.rows,
                                .k = p.k,
                                .to = packed});
    strips.a = packed;
  }
  multiply_last_strips<kRows - 1>(strips, PackedRows{});
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
HWY_EXPORT(multiply_strip);

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

void gemm_multiply_strip(const GemmStripProduct& product) {
  HWY_DYNAMIC_DISPATCH(multiply_strip)(product);
}

}  // namespace ovid::kernels::cpu
#endif
