#include "kernels/cpu/row_blocks.h"

#include <algorithm>

#include "kernels/cpu/parallel_for.h"
#include "kernels/cpu/simd.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/row_blocks.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

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

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ovid::kernels::cpu {

HWY_EXPORT(add_rows);

void add_block_sums(int threads, const float* partials, std::int64_t blocks, std::int64_t columns,
                    float* sums) {
  constexpr std::int64_t kColumnsPerPiece = 512;
  parallel_for(threads, columns, kColumnsPerPiece, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(add_rows)(partials + begin, blocks, columns, end - begin, sums + begin);
  });
}

void sum_row_blocks(int threads, const ConstView& rows, float* partials) {
  const std::int64_t length = rows_per_block(rows.rows()), columns = rows.columns();
  parallel_for(threads, rows.rows(), length, [&](std::int64_t begin, std::int64_t end) {
    float* sums = partials + begin / length * columns;
    std::fill_n(sums, columns, 0.0f);
    HWY_DYNAMIC_DISPATCH(add_rows)
    (rows.data<float>() + begin * rows.row_stride(), end - begin, rows.row_stride(), columns, sums);
  });
}

}  // namespace ovid::kernels::cpu
#endif
