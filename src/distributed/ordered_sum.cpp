#include "src/distributed/ordered_sum.h"

#include "kernels/cpu/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/distributed/ordered_sum.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace ovid::distributed {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// The numbers of one element are added alone, so the width of a vector does not matter to the bits.
template <class T>
void sum_rows(const void* const* rows, std::int64_t number, T* out, T* copy, std::int64_t count) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto row = [&](std::int64_t r) { return static_cast<const T*>(rows[r]); };
  std::int64_t i = 0;
  // Four sums at once: one row's loads do not wait for another's additions.
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    auto a = hn::LoadU(d, row(0) + i);
    auto b = hn::LoadU(d, row(0) + i + lanes);
    auto c = hn::LoadU(d, row(0) + i + 2 * lanes);
    auto e = hn::LoadU(d, row(0) + i + 3 * lanes);
    for (std::int64_t r = 1; r < number; ++r) {
      a = hn::Add(a, hn::LoadU(d, row(r) + i));
      b = hn::Add(b, hn::LoadU(d, row(r) + i + lanes));
      c = hn::Add(c, hn::LoadU(d, row(r) + i + 2 * lanes));
      e = hn::Add(e, hn::LoadU(d, row(r) + i + 3 * lanes));
    }
    for (T* const place : {out, copy}) {
      if (place == nullptr) continue;
      hn::StoreU(a, d, place + i);
      hn::StoreU(b, d, place + i + lanes);
      hn::StoreU(c, d, place + i + 2 * lanes);
      hn::StoreU(e, d, place + i + 3 * lanes);
    }
  }
  const hn::CappedTag<T, 1> one;
  for (; i < count; ++i) {
    auto sum = hn::LoadU(one, row(0) + i);
    for (std::int64_t r = 1; r < number; ++r) sum = hn::Add(sum, hn::LoadU(one, row(r) + i));
    hn::StoreU(sum, one, out + i);
    if (copy != nullptr) hn::StoreU(sum, one, copy + i);
  }
}

void sum_float32(const void* const* rows, std::int64_t number, float* out, float* copy,
                 std::int64_t count) {
  sum_rows(rows, number, out, copy, count);
}

void sum_float64(const void* const* rows, std::int64_t number, double* out, double* copy,
                 std::int64_t count) {
  sum_rows(rows, number, out, copy, count);
}

void sum_int32(const void* const* rows, std::int64_t number, std::int32_t* out, std::int32_t* copy,
               std::int64_t count) {
  sum_rows(rows, number, out, copy, count);
}

}  // namespace HWY_NAMESPACE
}  // namespace ovid::distributed
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/common/errors.h"
#include "kernels/common/view.h"
#include "kernels/convert/convert.h"

namespace ovid::distributed {

HWY_EXPORT(sum_float32);
HWY_EXPORT(sum_float64);
HWY_EXPORT(sum_int32);

namespace {

using kernels::ConstView;
using kernels::DType;
using kernels::Shape;
using kernels::View;

constexpr std::int64_t kChunk = 1024;  // of 16-bit numbers, widened on the stack

void sum_16_bit(const OrderedSum& sum) {
  kernels::ScratchArena no_scratch;
  kernels::ExecutionContext ctx(kernels::DeviceKind::kCpu, 1, no_scratch);
  std::array<float, kChunk> total;
  std::array<float, kChunk> wide;
  for (std::int64_t first = 0; first < sum.elements; first += kChunk) {
    const std::int64_t count = std::min(kChunk, sum.elements - first);
    const auto widen = [&](const void* row, float* to) {
      const auto* piece = static_cast<const std::uint16_t*>(row) + first;
      kernels::convert(ctx, {.in = ConstView(piece, sum.dtype, Shape{count}),
                             .out = View(to, DType::kFloat32, Shape{count})});
    };
    widen(sum.rows[0], total.data());
    for (std::size_t r = 1; r < sum.rows.size(); ++r) {
      widen(sum.rows[r], wide.data());
      for (std::int64_t i = 0; i < count; ++i) {
        total[static_cast<std::size_t>(i)] += wide[static_cast<std::size_t>(i)];
      }
    }
    for (void* const place : {sum.out, sum.copy}) {
      if (place == nullptr) continue;
      auto* piece = static_cast<std::uint16_t*>(place) + first;
      kernels::convert(ctx, {.in = ConstView(total.data(), DType::kFloat32, Shape{count}),
                             .out = View(piece, sum.dtype, Shape{count})});
    }
  }
}

}  // namespace

void ordered_sum(const OrderedSum& sum) {
  const void* const* const rows = sum.rows.data();
  const auto number = static_cast<std::int64_t>(sum.rows.size());
  if (sum.elements == 0) return;
  switch (sum.dtype) {
    case DType::kFloat32:
      return HWY_DYNAMIC_DISPATCH(sum_float32)(rows, number, static_cast<float*>(sum.out),
                                               static_cast<float*>(sum.copy), sum.elements);
    case DType::kFloat64:
      return HWY_DYNAMIC_DISPATCH(sum_float64)(rows, number, static_cast<double*>(sum.out),
                                               static_cast<double*>(sum.copy), sum.elements);
    case DType::kInt32:
      return HWY_DYNAMIC_DISPATCH(sum_int32)(rows, number, static_cast<std::int32_t*>(sum.out),
                                             static_cast<std::int32_t*>(sum.copy), sum.elements);
    case DType::kBfloat16:
    case DType::kFloat16:
      return sum_16_bit(sum);
    default:
      throw kernels::ShapeError(std::string("ordered_sum: no sums of ") +
                                kernels::name_of(sum.dtype));
  }
}

}  // namespace ovid::distributed
#endif
