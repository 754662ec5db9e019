#include "kernels/cpu/simd.h"
#include "kernels/dropout/dropout.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/dropout/dropout_cpu.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// out = in * factors, element by element; out may be in.
void multiply_by_factors(const float* in, const float* factors, float* out, std::int64_t count) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(hn::Mul(hn::LoadU(d, in + i), hn::LoadU(d, factors + i)), d, out + i);
  }
  for (; i < count; ++i) out[i] = in[i] * factors[i];
}

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>
#include <array>

#include "kernels/cpu/dropout_factors.h"
#include "kernels/cpu/parallel_for.h"

namespace ovid::kernels::cpu {

HWY_EXPORT(multiply_by_factors);

namespace {

constexpr std::int64_t kElementsPerPiece = 4096;
constexpr std::int64_t kChunk = 512;  // factors on the stack

void apply_mask(const float* in, float* out, std::int64_t begin, std::int64_t end,
                const DropoutMask& mask) {
  std::array<float, kChunk> factors;
  for (std::int64_t first = begin; first < end; first += kChunk) {
    const std::int64_t count = std::min(kChunk, end - first);
    dropout_factors(mask, static_cast<std::uint64_t>(first), count, factors.data());
    HWY_DYNAMIC_DISPATCH(multiply_by_factors)(in + first, factors.data(), out + first, count);
  }
}

void apply_mask_in_parallel(ExecutionContext& ctx, const ConstView& in, const View& out,
                            const DropoutMask& mask) {
  if (ctx.only_measures()) return;
  const float* from = in.data<float>();
  float* to = out.data<float>();
  parallel_for(
      ctx.threads(), in.elements(), kElementsPerPiece,
      [&](std::int64_t begin, std::int64_t end) { apply_mask(from, to, begin, end, mask); });
}

}  // namespace

void dropout_forward(ExecutionContext& ctx, const Dropout& op) {
  apply_mask_in_parallel(ctx, op.in, op.out, op.mask);
}

// The map is linear and diagonal: its adjoint is itself.
void dropout_backward(ExecutionContext& ctx, const DropoutGradient& op) {
  apply_mask_in_parallel(ctx, op.d_out, op.d_in, op.mask);
}

}  // namespace ovid::kernels::cpu
#endif
