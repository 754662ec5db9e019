#include <cstdint>

#include "kernels/cpu/parallel_for.h"
#include "kernels/cpu/simd.h"
#include "kernels/gelu/gelu.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gelu/gelu_cpu.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/gelu-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Tag = hn::ScalableTag<float>;

void gelu_range(const float* in, float* out, std::int64_t count) {
  const Tag d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(gelu(d, hn::LoadU(d, in + i)), d, out + i);
  if (i == count) return;
  const auto mask = hn::FirstN(d, static_cast<std::size_t>(count - i));
  hn::BlendedStore(gelu(d, hn::MaskedLoad(mask, d, in + i)), mask, d, out + i);
}

void gelu_gradient_range(const float* d_out, const float* in, float* d_in, std::int64_t count) {
  const Tag d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto derivative = gelu_derivative(d, hn::LoadU(d, in + i));
    hn::StoreU(hn::Mul(hn::LoadU(d, d_out + i), derivative), d, d_in + i);
  }
  if (i == count) return;
  const auto mask = hn::FirstN(d, static_cast<std::size_t>(count - i));
  const auto derivative = gelu_derivative(d, hn::MaskedLoad(mask, d, in + i));
  hn::BlendedStore(hn::Mul(hn::MaskedLoad(mask, d, d_out + i), derivative), mask, d, d_in + i);
}

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ovid::kernels::cpu {

HWY_EXPORT(gelu_range);
HWY_EXPORT(gelu_gradient_range);

namespace {

constexpr std::int64_t kElementsPerPiece = 16384;  // some 10 microseconds

}  // namespace

void gelu_forward(ExecutionContext& ctx, const Gelu& op) {
  const float* in = op.in.data<float>();
  float* out = op.out.data<float>();
  parallel_for(ctx.threads(), op.in.elements(), kElementsPerPiece,
               [&](std::int64_t begin, std::int64_t end) {
                 HWY_DYNAMIC_DISPATCH(gelu_range)(in + begin, out + begin, end - begin);
               });
}

void gelu_backward(ExecutionContext& ctx, const GeluGradient& op) {
  const float* d_out = op.d_out.data<float>();
  const float* in = op.in.data<float>();
  float* d_in = op.d_in.data<float>();
  parallel_for(ctx.threads(), op.in.elements(), kElementsPerPiece,
               [&](std::int64_t begin, std::int64_t end) {
                 HWY_DYNAMIC_DISPATCH(gelu_gradient_range)
                 (d_out + begin, in + begin, d_in + begin, end - begin);
               });
}

}  // namespace ovid::kernels::cpu
#endif
