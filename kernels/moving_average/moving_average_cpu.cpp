#include "kernels/cpu/simd.h"
#include "kernels/moving_average/moving_average.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/moving_average/moving_average_cpu.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/parallel_for.h"

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

void average_range(const float* value, float* average, std::int64_t count, float share) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto factor = hn::Set(d, share);
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto old = hn::LoadU(d, average + i);
    hn::StoreU(hn::MulAdd(factor, hn::Sub(hn::LoadU(d, value + i), old), old), d, average + i);
  }
  if (i == count) return;
  const auto mask = hn::FirstN(d, static_cast<std::size_t>(count - i));
  const auto old = hn::MaskedLoad(mask, d, average + i);
  const auto now = hn::MaskedLoad(mask, d, value + i);
  hn::BlendedStore(hn::MulAdd(factor, hn::Sub(now, old), old), mask, d, average + i);
}

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ovid::kernels::cpu {

HWY_EXPORT(average_range);

void moving_average_update(ExecutionContext& ctx, const MovingAverage& op) {
  constexpr std::int64_t kElementsPerPiece = 32768;
  const float* value = op.value.data<float>();
  float* average = op.average.data<float>();
  const float share = 1.0f - op.decay;
  parallel_for(ctx.threads(), op.value.elements(), kElementsPerPiece,
               [&](std::int64_t begin, std::int64_t end) {
                 HWY_DYNAMIC_DISPATCH(average_range)
                 (value + begin, average + begin, end - begin, share);
               });
}

}  // namespace ovid::kernels::cpu
#endif
