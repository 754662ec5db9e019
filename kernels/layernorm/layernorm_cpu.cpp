#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/cpu/dropout_factors.h"
#include "kernels/cpu/parallel_for.h"
#include "kernels/cpu/prefetch.h"
#include "kernels/cpu/row_blocks.h"
#include "kernels/cpu/simd.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/layernorm/layernorm_rows.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/layernorm/layernorm_cpu.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Tag = hn::ScalableTag<float>;
using Vector = hn::Vec<Tag>;

// Sums that a row's elements add to in turns: the additions of one would wait for each other.
constexpr std::size_t kSums = 4;

// Calls step(i, sum, mask, load, store) for each vector of [0, count), with a sum in [0, kSums)
// that does not depend on the instruction set's speed but on i alone. The last, partial vector is
// read with zeros behind the end: no addend where a sum is built from products, and the caller's
// business where it is not.
template <class Step>
HWY_INLINE void for_each_vector(std::int64_t count, const Step& step) {
  const Tag d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto whole = hn::FirstN(d, static_cast<std::size_t>(lanes));
  const auto load = [d](const float* from) HWY_ATTR { return hn::LoadU(d, from); };
  const auto store = [d](Vector value, float* to) HWY_ATTR { hn::StoreU(value, d, to); };
  std::int64_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    step(i, 0, whole, load, store);
    step(i + lanes, 1, whole, load, store);
    step(i + 2 * lanes, 2, whole, load, store);
    step(i + 3 * lanes, 3, whole, load, store);
  }
  for (; i + lanes <= count; i += lanes) step(i, 0, whole, load, store);
  if (i == count) return;
  const auto mask = hn::FirstN(d, static_cast<std::size_t>(count - i));
  step(
      i, 1, mask, [&](const float* from) HWY_ATTR { return hn::MaskedLoad(mask, d, from); },
      [&](Vector value, float* to) HWY_ATTR { hn::BlendedStore(value, mask, d, to); });
}

HWY_INLINE float sum_of(const Vector (&sums)[kSums]) {
  return hn::GetLane(
      hn::SumOfLanes(Tag(), hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3]))));
}

HWY_INLINE void set_zero_sums(Vector (&sums)[kSums]) {
#pragma GCC unroll 4
  for (std::size_t i = 0; i < kSums; ++i) sums[i] = hn::Zero(Tag());
}

HWY_INLINE std::int64_t distance_to_next_row(std::int64_t columns) {
  constexpr std::int64_t kLeastBytes = 2048;
  return HWY_MAX(columns * std::int64_t{sizeof(float)}, kLeastBytes);
}

// Begins to load what the next row behind `at` has at the same place, or one further on where rows
// are short: rows are worked on in order, and memory would wait while a row in the cache is gone
// through again and again.
HWY_INLINE void prefetch_next_row(const float* at, std::int64_t columns) {
  prefetch_behind(at, distance_to_next_row(columns));
}
HWY_INLINE void prefetch_next_written_row(const float* at, std::int64_t columns) {
  prefetch_for_writing(at, distance_to_next_row(columns));
}

// Two passes: differences from the mean of the first lose nothing where the mean is large beside
// the deviations, and what rounding has left in that mean the second pass takes out of both mean
// and variance.
HWY_INLINE void normalise(const float* row, float first_mean, const NormRow& op, float epsilon,
                          std::int64_t columns) {
  const Tag d;
  const Vector about = hn::Set(d, first_mean);
  Vector deviations[kSums], squares[kSums];
  set_zero_sums(deviations);
  set_zero_sums(squares);
  for_each_vector(columns, [&](std::int64_t i, std::size_t sum, auto mask, const auto& load,
                               const auto&) HWY_ATTR {
    prefetch_next_row(op.in + i, columns);
    if (op.branch != nullptr) prefetch_next_row(op.branch + i, columns);
    const Vector deviation = hn::IfThenElseZero(mask, hn::Sub(load(row + i), about));
    deviations[sum] = hn::Add(deviations[sum], deviation);
    squares[sum] = hn::MulAdd(deviation, deviation, squares[sum]);
  });
  const auto C = static_cast<float>(columns);
  const float correction = sum_of(deviations) / C;
  const float variance = sum_of(squares) / C - correction * correction;
  *op.mean = first_mean + correction;
  *op.inv_std = 1.0f / std::sqrt(variance + epsilon);
  const Vector mean = hn::Set(d, *op.mean), r = hn::Set(d, *op.inv_std);
  for_each_vector(columns, [&](std::int64_t i, std::size_t, auto, const auto& load,
                               const auto& store) HWY_ATTR {
    prefetch_next_written_row(op.out + i, columns);
    if (op.branch != nullptr) prefetch_next_written_row(row + i, columns);
    const Vector z = hn::Mul(hn::Sub(load(row + i), mean), r);
    store(hn::MulAdd(load(op.gain + i), z, load(op.bias + i)), op.out + i);
  });
}

void normalise_row(const NormRow& op, float epsilon, std::int64_t columns) {
  Vector sums[kSums];
  set_zero_sums(sums);
  for_each_vector(columns, [&](std::int64_t i, std::size_t sum, auto, const auto& load, const auto&)
                               HWY_ATTR { sums[sum] = hn::Add(sums[sum], load(op.in + i)); });
  normalise(op.in, sum_of(sums) / static_cast<float>(columns), op, epsilon, columns);
}

// op.sum = op.in + factors branch, and its norm
void normalise_sum_row(const NormRow& op, float epsilon, std::int64_t columns) {
  Vector sums[kSums];
  set_zero_sums(sums);
  for_each_vector(columns, [&](std::int64_t i, std::size_t sum, auto, const auto& load,
                               const auto& store) HWY_ATTR {
    const Vector branch = load(op.branch + i);
    const Vector added = op.factors == nullptr ? branch : hn::Mul(branch, load(op.factors + i));
    const Vector element = hn::Add(load(op.in + i), added);
    sums[sum] = hn::Add(sums[sum], element);
    store(element, op.sum + i);
  });
  normalise(op.sum, sum_of(sums) / static_cast<float>(columns), op, epsilon, columns);
}

// Adds the row's part to d_gain and d_bias, and finds the averages of g and g z
// (layernorm_reference.h).
NormAverages sum_gradient_row(const NormGradientRow& op, std::int64_t columns) {
  const Tag d;
  const Vector mean = hn::Set(d, op.mean), r = hn::Set(d, op.inv_std);
  Vector sum_g[kSums], sum_gz[kSums];
  set_zero_sums(sum_g);
  set_zero_sums(sum_gz);
  for_each_vector(columns, [&](std::int64_t i, std::size_t sum, auto, const auto& load,
                               const auto& store) HWY_ATTR {
    prefetch_next_row(op.in + i, columns);
    prefetch_next_row(op.d_out + i, columns);
    const Vector z = hn::Mul(hn::Sub(load(op.in + i), mean), r);
    const Vector d_out = load(op.d_out + i);
    if (op.d_gain != nullptr) {
      store(hn::MulAdd(d_out, z, load(op.d_gain + i)), op.d_gain + i);
      store(hn::Add(d_out, load(op.d_bias + i)), op.d_bias + i);
    }
    const Vector g = hn::Mul(d_out, load(op.gain + i));
    sum_g[sum] = hn::Add(sum_g[sum], g);
    sum_gz[sum] = hn::MulAdd(g, z, sum_gz[sum]);
  });
  const auto C = static_cast<float>(columns);
  return {.g = sum_of(sum_g) / C, .gz = sum_of(sum_gz) / C};
}

// d_in = r (g - average(g) - z average(g z)), plus d_sum where there is one; then d_sum = d_in and
// d_branch = factors d_in. Each element is read before it is written, so that d_in, d_sum and
// d_branch may be d_out or each other.
void gradient_row(const NormGradientRow& op, std::int64_t columns) {
  const Tag d;
  const NormAverages averages = sum_gradient_row(op, columns);
  const Vector mean = hn::Set(d, op.mean), r = hn::Set(d, op.inv_std);
  const Vector average_g = hn::Set(d, averages.g), average_gz = hn::Set(d, averages.gz);
  for_each_vector(columns, [&](std::int64_t i, std::size_t, auto, const auto& load,
                               const auto& store) HWY_ATTR {
    prefetch_next_written_row(op.d_in + i, columns);
    const Vector z = hn::Mul(hn::Sub(load(op.in + i), mean), r);
    const Vector g = hn::Mul(load(op.d_out + i), load(op.gain + i));
    const Vector centred = hn::NegMulAdd(z, average_gz, hn::Sub(g, average_g));
    if (op.d_sum == nullptr) {
      store(hn::Mul(r, centred), op.d_in + i);
      return;
    }
    prefetch_next_written_row(op.d_sum + i, columns);
    const Vector whole = hn::MulAdd(r, centred, load(op.d_sum + i));
    store(whole, op.d_sum + i);
    store(op.factors == nullptr ? whole : hn::Mul(whole, load(op.factors + i)), op.d_in + i);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ovid::kernels::cpu {

HWY_EXPORT(normalise_row);
HWY_EXPORT(normalise_sum_row);
HWY_EXPORT(gradient_row);

namespace {

constexpr std::int64_t kElementsPerPiece = 8192;  // some microseconds

std::int64_t rows_per_piece(RowShape shape) {
  return std::max<std::int64_t>(1, kElementsPerPiece / shape.columns);
}

std::uint64_t index_of(std::int64_t element) {
  return static_cast<std::uint64_t>(element);
}

// One row of factors for each piece, where there is dropout.
std::span<float> take_factors(ScratchFrame& scratch, const std::optional<DropoutMask>& mask,
                              std::int64_t pieces, std::int64_t columns) {
  return scratch.take<float>(mask ? pieces * columns : 0);
}

const float* factors_of_row(const std::optional<DropoutMask>& mask, std::int64_t row,
                            std::int64_t columns, float* buffer) {
  if (!mask) return nullptr;
  dropout_factors(*mask, index_of(row * columns), columns, buffer);
  return buffer;
}

// The operands of both backward ops; without a residual sum d_sum is null.
struct GradientRows {
  ConstView d_out, in, gain, mean, inv_std;
  View d_in;
  std::optional<View> d_gain, d_bias;
  GradientMode d_gain_mode;
  float* d_sum = nullptr;
  std::optional<DropoutMask> mask = std::nullopt;
};

void gradient_rows(ExecutionContext& ctx, const GradientRows& op, RowShape shape) {
  const std::int64_t C = shape.columns, length = rows_per_block(shape.rows);
  const std::int64_t blocks = number_of_row_blocks(shape.rows);
  ScratchFrame scratch(ctx);
  const bool sums = op.d_gain || op.d_bias;
  const std::span<float> d_gains = scratch.take<float>(sums ? blocks * C : 0);
  const std::span<float> d_biases = scratch.take<float>(sums ? blocks * C : 0);
  const std::span<float> factors = take_factors(scratch, op.mask, blocks, C);
  if (ctx.only_measures()) return;
  parallel_for(ctx.threads(), shape.rows, length, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t slot = begin / length * C;
    float* buffer = op.mask ? factors.data() + slot : nullptr;
    float* const d_gain = sums ? d_gains.data() + slot : nullptr;
    float* const d_bias = sums ? d_biases.data() + slot : nullptr;
    if (sums) {
      std::fill_n(d_gain, C, 0.0f);
      std::fill_n(d_bias, C, 0.0f);
    }
    for (std::int64_t row = begin; row < end; ++row) {
      const std::int64_t at = row * C;
      HWY_DYNAMIC_DISPATCH(gradient_row)
      ({.d_out = op.d_out.data<float>() + at,
        .in = op.in.data<float>() + at,
        .gain = op.gain.data<float>(),
        .mean = op.mean.data<float>()[row],
        .inv_std = op.inv_std.data<float>()[row],
        .factors = factors_of_row(op.mask, row, C, buffer),
        .d_in = op.d_in.data<float>() + at,
        .d_sum = op.d_sum == nullptr ? nullptr : op.d_sum + at,
        .d_gain = d_gain,
        .d_bias = d_bias},
       C);
    }
  });
  const auto add = [&](std::span<float> partials, const std::optional<View>& gradient) {
    if (!gradient) return;
    add_block_sums(ctx.threads(), partials.data(), blocks, C,
                   {.sums = gradient->data<float>(), .mode = op.d_gain_mode});
  };
  add(d_gains, op.d_gain);
  add(d_biases, op.d_bias);
}

}  // namespace

void layernorm_forward(ExecutionContext& ctx, const LayerNorm& op, RowShape shape) {
  if (ctx.only_measures()) return;
  parallel_for(ctx.threads(), shape.rows, rows_per_piece(shape),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t row = begin; row < end; ++row) {
                   HWY_DYNAMIC_DISPATCH(normalise_row)
                   ({.in = op.in.data<float>() + row * shape.columns,
                     .gain = op.gain.data<float>(),
                     .bias = op.bias.data<float>(),
                     .out = op.out.data<float>() + row * shape.columns,
                     .mean = op.mean.data<float>() + row,
                     .inv_std = op.inv_std.data<float>() + row},
                    op.epsilon, shape.columns);
                 }
               });
}

void layernorm_backward(ExecutionContext& ctx, const LayerNormGradient& op, RowShape shape) {
  gradient_rows(ctx,
                {.d_out = op.d_out,
                 .in = op.in,
                 .gain = op.gain,
                 .mean = op.mean,
                 .inv_std = op.inv_std,
                 .d_in = op.d_in,
                 .d_gain = op.d_gain,
                 .d_bias = op.d_bias,
                 .d_gain_mode = op.d_gain_mode},
                shape);
}

void residual_layernorm_forward(ExecutionContext& ctx, const ResidualLayerNorm& op,
                                RowShape shape) {
  const std::int64_t C = shape.columns, length = rows_per_piece(shape);
  ScratchFrame scratch(ctx);
  const std::int64_t pieces = (shape.rows + length - 1) / length;
  const std::span<float> factors = take_factors(scratch, op.branch_dropout, pieces, C);
  if (ctx.only_measures()) return;
  parallel_for(ctx.threads(), shape.rows, length, [&](std::int64_t begin, std::int64_t end) {
    float* buffer = op.branch_dropout ? factors.data() + begin / length * C : nullptr;
    for (std::int64_t row = begin; row < end; ++row) {
      HWY_DYNAMIC_DISPATCH(normalise_sum_row)
      ({.in = op.x.data<float>() + row * C,
        .branch = op.branch.data<float>() + row * C,
        .factors = factors_of_row(op.branch_dropout, row, C, buffer),
        .sum = op.sum.data<float>() + row * C,
        .gain = op.gain.data<float>(),
        .bias = op.bias.data<float>(),
        .out = op.normed.data<float>() + row * C,
        .mean = op.mean.data<float>() + row,
        .inv_std = op.inv_std.data<float>() + row},
       op.epsilon, C);
    }
  });
}

void residual_layernorm_backward(ExecutionContext& ctx, const ResidualLayerNormGradient& op,
                                 RowShape shape) {
  gradient_rows(ctx,
                {.d_out = op.d_normed,
                 .in = op.sum,
                 .gain = op.gain,
                 .mean = op.mean,
                 .inv_std = op.inv_std,
                 .d_in = op.d_branch,
                 .d_gain = op.d_gain,
                 .d_bias = op.d_bias,
                 .d_gain_mode = op.d_gain_mode,
                 .d_sum = op.d_sum.data<float>(),
                 .mask = op.branch_dropout},
                shape);
}

}  // namespace ovid::kernels::cpu
#endif
