#include "kernels/dropout/dropout.h"

#include <algorithm>
#include <array>

#include "kernels/cpu/dropout_factors.h"
#include "kernels/cpu/parallel_for.h"

namespace ovid::kernels::cpu {

namespace {

constexpr std::int64_t kElementsPerPiece = 4096;
constexpr std::int64_t kChunk = 512;  // factors on the stack

void apply_mask(const float* in, float* out, std::int64_t begin, std::int64_t end,
                const DropoutMask& mask) {
  std::array<float, kChunk> factors;
  for (std::int64_t first = begin; first < end; first += kChunk) {
    const std::int64_t count = std::min(kChunk, end - first);
    dropout_factors(mask, static_cast<std::uint64_t>(first), count, factors.data());
    for (std::int64_t i = 0; i < count; ++i) {
      out[first + i] = in[first + i] * factors[static_cast<std::size_t>(i)];
    }
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
