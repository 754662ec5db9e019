#include <cstdint>

#include "kernels/cpu/parallel_for.h"
#include "kernels/cpu/simd.h"
#include "kernels/linear/linear.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/linear/gelu_gradient_cpu.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/gelu-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

void multiply_row_by_gelu_gradient(const float* before, float* d, std::int64_t count) {
  const hn::ScalableTag<float> tag;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto derivative = gelu_derivative(tag, hn::LoadU(tag, before + i));
    hn::StoreU(hn::Mul(hn::LoadU(tag, d + i), derivative), tag, d + i);
  }
  if (i == count) return;
  const auto mask = hn::FirstN(tag, static_cast<std::size_t>(count - i));
  const auto derivative = gelu_derivative(tag, hn::MaskedLoad(mask, tag, before + i));
  hn::BlendedStore(hn::Mul(hn::MaskedLoad(mask, tag, d + i), derivative), mask, tag, d + i);
}

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ovid::kernels::cpu {

HWY_EXPORT(multiply_row_by_gelu_gradient);

void multiply_by_gelu_gradient(ExecutionContext& ctx, const ConstView& before, const View& d_in) {
  constexpr std::int64_t kElementsPerPiece = 16384;  // some 10 microseconds
  const std::int64_t columns = d_in.columns();
  if (columns == 0) return;
  parallel_for(ctx.threads(), d_in.rows(), kElementsPerPiece / columns + 1,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t row = begin; row < end; ++row) {
                   HWY_DYNAMIC_DISPATCH(multiply_row_by_gelu_gradient)
                   (before.data<float>() + row * before.row_stride(),
                    d_in.data<float>() + row * d_in.row_stride(), columns);
                 }
               });
}

}  // namespace ovid::kernels::cpu
#endif
