#include "kernels/cpu/prefetch.h"
#include "kernels/cpu/simd.h"
#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/softmax_cross_entropy/softmax_cross_entropy_cpu.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/parallel_for.h"
#include "kernels/cpu/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

float largest_logit(const float* x, std::int64_t count) {
  const hn::ScalableTag<float> d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  auto max0 = hn::Set(d, x[0]);
  auto max1 = max0;
  auto max2 = max0;
  auto max3 = max0;
  std::int64_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    max0 = hn::Max(max0, hn::LoadU(d, x + i));
    max1 = hn::Max(max1, hn::LoadU(d, x + i + lanes));
    max2 = hn::Max(max2, hn::LoadU(d, x + i + 2 * lanes));
    max3 = hn::Max(max3, hn::LoadU(d, x + i + 3 * lanes));
  }
  float largest = hn::GetLane(hn::MaxOfLanes(d, hn::Max(hn::Max(max0, max1), hn::Max(max2, max3))));
  for (; i < count; ++i) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

// sum_i exp(x_i - largest), in double across blocks so that the error does not grow with V; each
// exponential replaces its x where kStore. Meanwhile memory, idle here, brings the next row, which
// lies `distance_to_next` bytes behind this one.
template <bool kStore>
double sum_of_exponentials(float* x, std::int64_t count, float largest,
                           std::int64_t distance_to_next) {
  constexpr std::int64_t kBlock = 1024;
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> one;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto shift = hn::Set(d, largest);
  double sum = 0.0;
  std::int64_t i = 0;
  while (i + 2 * lanes <= count) {
    const std::int64_t end = HWY_MIN(i + kBlock, count);
    auto sum0 = hn::Zero(d);
    auto sum1 = hn::Zero(d);
    for (; i + 2 * lanes <= end; i += 2 * lanes) {
      for (std::int64_t line = 0; line < 2 * lanes; line += kFloatsOfLine)
        prefetch_behind(x + i + line, distance_to_next);
      const auto e0 = exp_of_nonpositive(d, hn::Sub(hn::LoadU(d, x + i), shift));
      const auto e1 = exp_of_nonpositive(d, hn::Sub(hn::LoadU(d, x + i + lanes), shift));
      sum0 = hn::Add(sum0, e0);
      sum1 = hn::Add(sum1, e1);
      if constexpr (kStore) {
        hn::StoreU(e0, d, x + i);
        hn::StoreU(e1, d, x + i + lanes);
      }
    }
    sum += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, hn::Add(sum0, sum1))));
  }
  for (; i < count; ++i) {
    const float e = hn::GetLane(exp_of_nonpositive(one, hn::Set(one, x[i] - largest)));
    sum += static_cast<double>(e);
    if constexpr (kStore) x[i] = e;
  }
  return sum;
}

void scale_logits(float* x, std::int64_t count, float factor) {
  const hn::ScalableTag<float> d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(hn::Mul(hn::LoadU(d, x + i), hn::Set(d, factor)), d, x + i);
  }
  for (; i < count; ++i) x[i] *= factor;
}

double exponentials_in_place(float* x, std::int64_t count, float largest,
                             std::int64_t distance_to_next) {
  return sum_of_exponentials<true>(x, count, largest, distance_to_next);
}

double exponential_sum(float* x, std::int64_t count, float largest, std::int64_t distance_to_next) {
  return sum_of_exponentials<false>(x, count, largest, distance_to_next);
}

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <cassert>
#include <cmath>
#include <cstring>

namespace ovid::kernels::cpu {

HWY_EXPORT(largest_logit);
HWY_EXPORT(exponentials_in_place);
HWY_EXPORT(exponential_sum);
HWY_EXPORT(scale_logits);

namespace {

// A row of GPT-2's vocabulary is 196 KiB and stays in the second cache between the three sweeps, so
// memory sees one pass; each exponential is computed once. distance_to_next: in bytes, to the row
// that this thread probably works on next.
float cross_entropy_row(float* row, std::int64_t V, std::int32_t target, float scale,
                        bool write_gradient, std::int64_t distance_to_next) {
  if (target == kIgnoreTarget) {
    if (write_gradient) std::memset(row, 0, static_cast<std::size_t>(V) * sizeof(float));
    return 0.0f;
  }
  assert(target >= 0 && target < V);
  const float largest = HWY_DYNAMIC_DISPATCH(largest_logit)(row, V);
  const double distance = static_cast<double>(largest) - static_cast<double>(row[target]);
  if (!write_gradient) {
    const double sum = HWY_DYNAMIC_DISPATCH(exponential_sum)(row, V, largest, distance_to_next);
    return static_cast<float>(std::log(sum) + distance);
  }
  const double sum = HWY_DYNAMIC_DISPATCH(exponentials_in_place)(row, V, largest, distance_to_next);
  const double target_probability = static_cast<double>(row[target]) / sum;
  HWY_DYNAMIC_DISPATCH(scale_logits)(row, V, static_cast<float>(static_cast<double>(scale) / sum));
  row[target] = static_cast<float>((target_probability - 1.0) * static_cast<double>(scale));
  return static_cast<float>(std::log(sum) + distance);
}

}  // namespace

void softmax_cross_entropy(ExecutionContext& ctx, const SoftmaxCrossEntropy& op) {
  constexpr std::int64_t kElementsPerPiece = 16384;
  const std::int64_t V = op.logits.columns();
  const std::int64_t stride = op.logits.row_stride();
  const std::int64_t rows_per_piece = V >= kElementsPerPiece ? 1 : kElementsPerPiece / V;
  float* logits = op.logits.data<float>();
  const std::int32_t* targets = op.targets.data<std::int32_t>();
  float* losses = op.losses.data<float>();
  parallel_for(
      ctx.threads(), op.logits.rows(), rows_per_piece, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t n = begin; n < end; ++n) {
          losses[n] = cross_entropy_row(logits + n * stride, V, targets[n], op.scale,
                                        op.write_gradient, stride * std::int64_t{sizeof(float)});
        }
      });
}

}  // namespace ovid::kernels::cpu
#endif
