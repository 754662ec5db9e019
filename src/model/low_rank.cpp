#include "src/model/low_rank.h"

#include "kernels/convert/convert.h"
#include "kernels/linear/linear.h"

namespace ovid::model {
namespace {

using kernels::ScratchFrame;
using kernels::WeightLayout;

View take(ScratchFrame& scratch, DType dtype, Shape shape) {
  const auto bytes = shape.elements() * static_cast<std::int64_t>(kernels::bytes_of(dtype));
  return {scratch.take<std::byte>(bytes).data(), dtype, shape};
}

// s x in another number type.
View scaled(ExecutionContext& ctx, ScratchFrame& scratch, const View& x, float scale, DType dtype) {
  const View out = take(scratch, dtype, x.shape());
  convert(ctx, {.in = x, .out = out, .scale = scale});
  return out;
}

struct SideGradient {
  ConstView read;    // (N, ...) what the other factor multiplies
  View other;        // (r, ...) scaled
  ConstView behind;  // (N, ...) what the product is taken with
  View factor;       // (r, ...) whose gradient it is, for its shape
  View gradient;
};

// gradient += (read other')' behind
void add_side(ExecutionContext& ctx, ScratchFrame& scratch, const SideGradient& side,
              kernels::GradientMode mode) {
  const View small =
      take(scratch, side.read.dtype(), Shape{side.read.rows(), side.other.shape()[0]});
  linear_forward(
      ctx, {.in = side.read, .weight = side.other, .out = small, .layout = WeightLayout::kOutIn});
  linear_backward(ctx, {.d_out = side.behind,
                        .in = small,
                        .weight = side.factor,
                        .d_weight = side.gradient,
                        .d_weight_mode = mode});
}

ConstView as_matrix(const ConstView& view) {
  return view.row_range(0, view.rows());
}

}  // namespace

void merge_low_rank(ExecutionContext& ctx, const LowRankMerge& op) {
  ScratchFrame scratch(ctx);
  const View a = scaled(ctx, scratch, op.adapter.a, op.scale, DType::kFloat32);
  if (op.sum.raw() != op.weight.raw()) convert(ctx, {.in = op.weight, .out = op.sum});
  linear_backward(ctx, {.d_out = op.adapter.b,
                        .in = a,
                        .weight = op.weight,
                        .d_weight = op.sum,
                        .d_weight_mode = kernels::GradientMode::kAccumulate});
  if (op.rounded) convert(ctx, {.in = op.sum, .out = *op.rounded});
}

void low_rank_backward(ExecutionContext& ctx, const LowRankGradient& op) {
  const DType dtype = op.in.dtype();
  const ConstView in = as_matrix(op.in), d_out = as_matrix(op.d_out);
  ScratchFrame scratch(ctx);
  const View a = scaled(ctx, scratch, op.adapter.a, op.scale, dtype);
  const View b = scaled(ctx, scratch, op.adapter.b, op.scale, dtype);
  if (op.gradients.a.elements() > 0) {
    add_side(ctx, scratch,
             {.read = d_out, .other = b, .behind = in, .factor = a, .gradient = op.gradients.a},
             op.mode);
  }
  if (op.gradients.b.elements() > 0) {
    add_side(ctx, scratch,
             {.read = in, .other = a, .behind = d_out, .factor = b, .gradient = op.gradients.b},
             op.mode);
  }
}

}  // namespace ovid::model
