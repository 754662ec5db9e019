#include <algorithm>
#include <cstdint>

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/parallel_for.h"
#include "kernels/cpu/prefetch.h"
#include "kernels/cpu/row_blocks.h"
#include "kernels/cpu/simd.h"
#include "kernels/linear/linear.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/linear/linear_cpu.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/gelu-inl.h"

#ifndef OVID_KERNELS_LINEAR_GELU_ROWS
#define OVID_KERNELS_LINEAR_GELU_ROWS
namespace ovid::kernels::cpu {

struct GeluRows {
  const float* before;
  std::int64_t before_stride;
  float* out;
  std::int64_t out_stride, rows, columns;
};

}  // namespace ovid::kernels::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Tag = hn::ScalableTag<float>;

// Rows mostly follow each other in memory, so that this reaches into the next ones. With operands
// beyond the second cache linear_gelu_backward of 768 x 128 x 512 takes 1.70 ms instead of 1.78
// (one core of a Xeon of the Emerald Rapids generation with AVX-512).
constexpr std::int64_t kBytesFetchedAhead = 2048;

// out = gelu(before) on `rows` rows; out may be before.
void gelu_rows(const GeluRows& op) {
  const Tag d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t row = 0; row < op.rows; ++row) {
    const float* before = op.before + row * op.before_stride;
    float* out = op.out + row * op.out_stride;
    std::int64_t i = 0;
    for (; i + lanes <= op.columns; i += lanes) {
      hn::StoreU(gelu(d, hn::LoadU(d, before + i)), d, out + i);
    }
    if (i == op.columns) continue;
    const auto mask = hn::FirstN(d, static_cast<std::size_t>(op.columns - i));
    hn::BlendedStore(gelu(d, hn::MaskedLoad(mask, d, before + i)), mask, d, out + i);
  }
}

// d_before = d_out gelu'(before), sums += d_before; d_before may be d_out.
void gelu_gradient_and_sum(const float* d_out, const float* before, float* d_before, float* sums,
                           std::int64_t count) {
  const Tag d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    prefetch_for_writing(d_before + i, kBytesFetchedAhead);
    prefetch_behind(before + i, kBytesFetchedAhead);
    const auto g = hn::Mul(hn::LoadU(d, d_out + i), gelu_derivative(d, hn::LoadU(d, before + i)));
    hn::StoreU(g, d, d_before + i);
    hn::StoreU(hn::Add(hn::LoadU(d, sums + i), g), d, sums + i);
  }
  if (i == count) return;
  const auto mask = hn::FirstN(d, static_cast<std::size_t>(count - i));
  const auto derivative = gelu_derivative(d, hn::MaskedLoad(mask, d, before + i));
  const auto g = hn::Mul(hn::MaskedLoad(mask, d, d_out + i), derivative);
  hn::BlendedStore(g, mask, d, d_before + i);
  hn::BlendedStore(hn::Add(hn::MaskedLoad(mask, d, sums + i), g), mask, d, sums + i);
}

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ovid::kernels::cpu {

HWY_EXPORT(gelu_rows);
HWY_EXPORT(gelu_gradient_and_sum);

namespace {

// out = in W + bias, then `epilogue` on each part of out.
void multiply_by_weight(ExecutionContext& ctx, const Linear& op, const LinearShape& shape,
                        const GemmEpilogue& epilogue) {
  const Gemm product = {.transpose_b = op.layout == WeightLayout::kOutIn,
                        .m = shape.rows,
                        .n = shape.out_columns,
                        .k = shape.in_columns,
                        .a = op.in.data<float>(),
                        .lda = op.in.row_stride(),
                        .b = op.weight.data<float>(),
                        .ldb = op.weight.row_stride(),
                        .c = op.out.data<float>(),
                        .ldc = op.out.row_stride(),
                        .bias = op.bias ? op.bias->data<float>() : nullptr};
  if (!op.row_independent) return gemm(ctx, product, epilogue);
  if (!ctx.only_measures()) gemm_rows(ctx.threads(), product, epilogue);
}

// d_in = d_out W^T
void d_in_product(ExecutionContext& ctx, const LinearGradient& op, const LinearShape& shape) {
  if (!op.d_in) return;
  gemm(ctx, {.transpose_b = op.layout == WeightLayout::kInOut,
             .m = shape.rows,
             .n = shape.in_columns,
             .k = shape.out_columns,
             .a = op.d_out.data<float>(),
             .lda = op.d_out.row_stride(),
             .b = op.weight.data<float>(),
             .ldb = op.weight.row_stride(),
             .c = op.d_in->data<float>(),
             .ldc = op.d_in->row_stride(),
             .accumulate = op.d_in_mode == GradientMode::kAccumulate});
}

// d_W = in^T d_out, or its transpose
void d_weight_product(ExecutionContext& ctx, const LinearGradient& op, const LinearShape& shape) {
  if (!op.d_weight) return;
  const bool in_out = op.layout == WeightLayout::kInOut;
  const ConstView &left = in_out ? op.in : op.d_out, &right = in_out ? op.d_out : op.in;
  gemm(ctx, {.transpose_a = true,
             .m = left.columns(),
             .n = right.columns(),
             .k = shape.rows,
             .a = left.data<float>(),
             .lda = left.row_stride(),
             .b = right.data<float>(),
             .ldb = right.row_stride(),
             .c = op.d_weight->data<float>(),
             .ldc = op.d_weight->row_stride(),
             .accumulate = op.d_weight_mode == GradientMode::kAccumulate});
}

// d_in comes last: the op behind this one then finds it in the caches.
void weight_and_in_products(ExecutionContext& ctx, const LinearGradient& op,
                            const LinearShape& shape) {
  d_weight_product(ctx, op, shape);
  d_in_product(ctx, op, shape);
}

}  // namespace

void linear_forward(ExecutionContext& ctx, const Linear& op, const LinearShape& shape) {
  multiply_by_weight(ctx, op, shape, nullptr);
}

void linear_backward(ExecutionContext& ctx, const LinearGradient& op, const LinearShape& shape) {
  if (op.d_bias && !ctx.only_measures()) {
    add_rows_to(ctx.threads(), op.d_out,
                {.sums = op.d_bias->data<float>(), .mode = op.d_weight_mode});
  }
  weight_and_in_products(ctx, op, shape);
}

void linear_gelu_forward(ExecutionContext& ctx, const LinearGelu& op, const LinearShape& shape) {
  const Linear product = {.in = op.in,
                          .weight = op.weight,
                          .bias = op.bias,
                          .out = op.before,
                          .row_independent = op.row_independent};
  const std::int64_t before_stride = op.before.row_stride(), out_stride = op.out.row_stride();
  multiply_by_weight(ctx, product, shape, [&](const GemmTile& tile) {
    HWY_DYNAMIC_DISPATCH(gelu_rows)
    ({.before = op.before.data<float>() + tile.first_row * before_stride + tile.first_column,
      .before_stride = before_stride,
      .out = op.out.data<float>() + tile.first_row * out_stride + tile.first_column,
      .out_stride = out_stride,
      .rows = tile.rows,
      .columns = tile.columns});
  });
}

void linear_gelu_backward(ExecutionContext& ctx, const LinearGeluGradient& op,
                          const LinearShape& shape) {
  const std::int64_t M = shape.out_columns, length = rows_per_block(shape.rows);
  ScratchFrame scratch(ctx);
  const std::span<float> partials = scratch.take<float>(number_of_row_blocks(shape.rows) * M);
  if (!ctx.only_measures()) {
    parallel_for(ctx.threads(), shape.rows, length, [&](std::int64_t begin, std::int64_t end) {
      float* sums = partials.data() + begin / length * M;
      std::fill_n(sums, M, 0.0f);
      for (std::int64_t row = begin; row < end; ++row) {
        HWY_DYNAMIC_DISPATCH(gelu_gradient_and_sum)
        (op.d_out.data<float>() + row * op.d_out.row_stride(),
         op.before.data<float>() + row * op.before.row_stride(),
         op.d_before.data<float>() + row * op.d_before.row_stride(), sums, M);
      }
    });
    add_block_sums(ctx.threads(), partials.data(), number_of_row_blocks(shape.rows), M,
                   {.sums = op.d_bias.data<float>(), .mode = op.d_weight_mode});
  }
  const LinearGradient product = {.d_out = op.d_before,
                                  .in = op.in,
                                  .weight = op.weight,
                                  .d_in = op.d_in,
                                  .d_weight = op.d_weight,
                                  .d_weight_mode = op.d_weight_mode};
  weight_and_in_products(ctx, product, shape);
}

}  // namespace ovid::kernels::cpu
#endif
