#include "kernels/cpu/row_blocks.h"

#include <algorithm>

#include "kernels/cpu/parallel_for.h"
#include "kernels/cpu/simd.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/row_blocks.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

#ifndef OVID_KERNELS_CPU_BLOCKED_ROWS
#define OVID_KERNELS_CPU_BLOCKED_ROWS
namespace ovid::kernels::cpu {

// Rows that are summed `length` at a time.
struct BlockedRows {
  const float* values;
  std::int64_t count, length, stride;
};

}  // namespace ovid::kernels::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// sums[c] += row[c] for each of the rows in order.
void add_rows(const float* rows, std::int64_t count, std::int64_t stride, std::int64_t columns,
              float* sums) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t r = 0; r < count; ++r) {
    const float* row = rows + r * stride;
    std::int64_t c = 0;
    for (; c + lanes <= columns; c += lanes) {
      hn::StoreU(hn::Add(hn::LoadU(d, sums + c), hn::LoadU(d, row + c)), d, sums + c);
    }
    for (; c < columns; ++c) sums[c] += row[c];
  }
}

// sums += the blocks' sums in order, for kVectors vectors of columns. Four blocks at a time: the
// additions of one wait for each other.
template <int kVectors, class D>
void add_blocks_to_vectors(D d, const BlockedRows& rows, float* sums) {
  constexpr std::int64_t kAtOnce = 4;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  using V = hn::Vec<D>;
  V totals[kVectors];
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) totals[v] = hn::LoadU(d, sums + v * lanes);
  const auto block_sums = [&](V(&sum)[kVectors], std::int64_t first) HWY_ATTR {
    for (std::int64_t r = first; r < HWY_MIN(first + rows.length, rows.count); ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        sum[v] = hn::Add(sum[v], hn::LoadU(d, rows.values + r * rows.stride + v * lanes));
      }
    }
  };
  std::int64_t first = 0;
  for (; first + kAtOnce * rows.length <= rows.count; first += kAtOnce * rows.length) {
    V sum[kAtOnce][kVectors];
#pragma GCC unroll 4
    for (int b = 0; b < kAtOnce; ++b) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[b][v] = hn::Zero(d);
    }
    for (std::int64_t r = 0; r < rows.length; ++r) {
#pragma GCC unroll 4
      for (int b = 0; b < kAtOnce; ++b) {
        const float* row = rows.values + (first + b * rows.length + r) * rows.stride;
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) {
          sum[b][v] = hn::Add(sum[b][v], hn::LoadU(d, row + v * lanes));
        }
      }
    }
#pragma GCC unroll 4
    for (int b = 0; b < kAtOnce; ++b) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) totals[v] = hn::Add(totals[v], sum[b][v]);
    }
  }
  for (; first < rows.count; first += rows.length) {
    V sum[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sum[v] = hn::Zero(d);
    block_sums(sum, first);
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) totals[v] = hn::Add(totals[v], sum[v]);
  }
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) hn::StoreU(totals[v], d, sums + v * lanes);
}

void add_blocks(const BlockedRows& rows, std::int64_t columns, float* sums) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> one;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  BlockedRows part = rows;
  std::int64_t c = 0;
  for (; c + 2 * lanes <= columns; c += 2 * lanes) {
    part.values = rows.values + c;
    add_blocks_to_vectors<2>(d, part, sums + c);
  }
  for (; c < columns; ++c) {
    part.values = rows.values + c;
    add_blocks_to_vectors<1>(one, part, sums + c);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ovid::kernels::cpu {

HWY_EXPORT(add_rows);
HWY_EXPORT(add_blocks);

namespace {

void start_sums(const ColumnSums& out, std::int64_t begin, std::int64_t end) {
  if (out.mode == GradientMode::kOverwrite) std::fill(out.sums + begin, out.sums + end, 0.0f);
}

}  // namespace

void add_block_sums(int threads, const float* partials, std::int64_t blocks, std::int64_t columns,
                    const ColumnSums& out) {
  constexpr std::int64_t kColumnsPerPiece = 512;
  parallel_for(threads, columns, kColumnsPerPiece, [&](std::int64_t begin, std::int64_t end) {
    start_sums(out, begin, end);
    HWY_DYNAMIC_DISPATCH(add_rows)
    (partials + begin, blocks, columns, end - begin, out.sums + begin);
  });
}

void add_rows_to(int threads, const ConstView& rows, const ColumnSums& out) {
  constexpr std::int64_t kMostPieces = 16, kLeastColumns = 64;
  const std::int64_t N = rows.rows(), C = rows.columns(), length = rows_per_block(N);
  const std::int64_t share = (C + kMostPieces - 1) / kMostPieces;
  const std::int64_t grain = (share + kLeastColumns - 1) / kLeastColumns * kLeastColumns;
  parallel_for(threads, C, grain, [&](std::int64_t begin, std::int64_t end) {
    start_sums(out, begin, end);
    HWY_DYNAMIC_DISPATCH(add_blocks)
    ({rows.data<float>() + begin, N, length, rows.row_stride()}, end - begin, out.sums + begin);
  });
}

}  // namespace ovid::kernels::cpu
#endif
