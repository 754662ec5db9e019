#include "kernels/adamw/adamw.h"
#include "kernels/cpu/prefetch.h"
#include "kernels/cpu/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/adamw/adamw_cpu.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/parallel_for.h"

#ifndef OVID_KERNELS_ADAMW_FACTORS
#define OVID_KERNELS_ADAMW_FACTORS
namespace ovid::kernels::cpu {

// What equations (1) to (3) need for each element, worked out once in double.
struct AdamWFactors {
  float gradient_scale;
  float one_minus_beta1;
  float beta2;
  float one_minus_beta2;
  float keep;          // 1 - learning_rate * weight_decay
  float step_size;     // learning_rate / (1 - beta1^step)
  float inverse_root;  // 1 / sqrt(1 - beta2^step)
  float epsilon;
};

// Of all four arrays; 1,024 measured as good as 2,048 and better than 512.
inline constexpr std::int64_t kPrefetchedBytes = 1024;

struct AdamWRange {
  float* weight;
  const float* gradient;
  float* first_moment;
  float* second_moment;
  std::int64_t count;
};

}  // namespace ovid::kernels::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// The operations and their order are those of torch.optim.AdamW (decay, lerp of m, v, then
// sqrt(v) / root + epsilon), so that long runs stay close to its; but for one division, which is a
// multiplication here: divisions take most of the time where the tensors are in the caches.
template <class D>
void adamw_vector(D d, const AdamWFactors& f, float* w, const float* gradient, float* m, float* v) {
  const auto g = hn::Mul(hn::LoadU(d, gradient), hn::Set(d, f.gradient_scale));
  const auto old_m = hn::LoadU(d, m);
  const auto new_m = hn::MulAdd(hn::Set(d, f.one_minus_beta1), hn::Sub(g, old_m), old_m);
  const auto decayed_v = hn::Mul(hn::LoadU(d, v), hn::Set(d, f.beta2));
  const auto new_v = hn::MulAdd(hn::Mul(g, g), hn::Set(d, f.one_minus_beta2), decayed_v);
  const auto decayed_w = hn::Mul(hn::LoadU(d, w), hn::Set(d, f.keep));
  const auto denominator =
      hn::MulAdd(hn::Sqrt(new_v), hn::Set(d, f.inverse_root), hn::Set(d, f.epsilon));
  const auto update = hn::Div(hn::Mul(hn::Set(d, f.step_size), new_m), denominator);
  hn::StoreU(new_m, d, m);
  hn::StoreU(new_v, d, v);
  hn::StoreU(hn::Sub(decayed_w, update), d, w);
}

void adamw_range(const AdamWFactors& factors, const AdamWRange& r) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1>
      one;  // the tail by the same operations, so that bits do not depend on where a piece ends
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  // 28 bytes an element against two divisions and a root: memory is the limit, and the processor's
  // own prefetching keeps too few lines of four arrays under way.
  for (; i + kFloatsOfLine <= r.count; i += kFloatsOfLine) {
    prefetch_behind(r.weight + i, kPrefetchedBytes);
    prefetch_behind(r.gradient + i, kPrefetchedBytes);
    prefetch_behind(r.first_moment + i, kPrefetchedBytes);
    prefetch_behind(r.second_moment + i, kPrefetchedBytes);
    for (std::int64_t j = i; j < i + kFloatsOfLine; j += lanes) {
      adamw_vector(d, factors, r.weight + j, r.gradient + j, r.first_moment + j,
                   r.second_moment + j);
    }
  }
  for (; i + lanes <= r.count; i += lanes) {
    adamw_vector(d, factors, r.weight + i, r.gradient + i, r.first_moment + i, r.second_moment + i);
  }
  for (; i < r.count; ++i) {
    adamw_vector(one, factors, r.weight + i, r.gradient + i, r.first_moment + i,
                 r.second_moment + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <cmath>

namespace ovid::kernels::cpu {

HWY_EXPORT(adamw_range);

namespace {

// 64 KiB over the four arrays: the tensors of a small model still give each thread its share.
constexpr std::int64_t kElementsPerPiece = 4096;

AdamWFactors factors_of(const AdamW& op) {
  const double step = static_cast<double>(op.step);
  const double correction1 = 1.0 - std::pow(op.beta1, step);
  const double correction2 = 1.0 - std::pow(op.beta2, step);
  return {.gradient_scale = op.gradient_scale,
          .one_minus_beta1 = static_cast<float>(1.0 - op.beta1),
          .beta2 = static_cast<float>(op.beta2),
          .one_minus_beta2 = static_cast<float>(1.0 - op.beta2),
          .keep = static_cast<float>(1.0 - op.learning_rate * op.weight_decay),
          .step_size = static_cast<float>(op.learning_rate / correction1),
          .inverse_root = static_cast<float>(1.0 / std::sqrt(correction2)),
          .epsilon = static_cast<float>(op.epsilon)};
}

}  // namespace

void adamw_update(ExecutionContext& ctx, const AdamW& op) {
  if (ctx.only_measures()) return;
  const AdamWFactors factors = factors_of(op);
  float* weight = op.weight.data<float>();
  const float* gradient = op.gradient.data<float>();
  float* first_moment = op.first_moment.data<float>();
  float* second_moment = op.second_moment.data<float>();
  const auto update = HWY_DYNAMIC_DISPATCH(adamw_range);
  parallel_for(ctx.threads(), op.weight.elements(), kElementsPerPiece,
               [&](std::int64_t begin, std::int64_t end) {
                 update(factors, {.weight = weight + begin,
                                  .gradient = gradient + begin,
                                  .first_moment = first_moment + begin,
                                  .second_moment = second_moment + begin,
                                  .count = end - begin});
               });
}

}  // namespace ovid::kernels::cpu
#endif
