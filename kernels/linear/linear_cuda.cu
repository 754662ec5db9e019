#include "kernels/cuda/products.cuh"
#include "kernels/linear/linear.h"
#include "kernels/linear/linear_cuda_passes.cuh"
#include "kernels/linear/linear_cuda_rows.cuh"
#include "kernels/linear/linear_cuda_scratch.h"

// Products by cuBLASLt, with bias, GELU, its gradient and the bias gradient inside its kernels.
// Where it has none for such operands, passes of our own do what is left
// (linear_cuda_passes.cuh); decoding has products of our own (linear_cuda_rows.cuh).
namespace ovid::kernels::cuda {

namespace {

Product forward_product(const ConstView& in, const ConstView& weight, WeightLayout layout,
                        const View& out) {
  return {.left = {in},
          .right = {weight, layout == WeightLayout::kOutIn},
          .out = out,
          .epilogue = ProductEpilogue::kNone};
}

// out = in W + bias
void biased_product(ExecutionContext& ctx, const Product& plain,
                    const std::optional<ConstView>& bias) {
  if (bias) {
    Product product = plain;
    product.epilogue = ProductEpilogue::kBias;
    product.bias = bias;
    if (multiply(ctx, product)) return;
  }
  multiply(ctx, plain);
  if (bias) add_bias_and_gelu(ctx, {.values = plain.out, .bias = bias});
}

// d_in = or += d_out W', times gelu'(before) where there is one
void d_in_product(ExecutionContext& ctx, const LinearGradient& op) {
  if (!op.d_in) return;
  Product product = {.left = {op.d_out},
                     .right = {op.weight, op.layout == WeightLayout::kInOut},
                     .out = *op.d_in,
                     .accumulate = op.d_in_mode == GradientMode::kAccumulate};
  if (!op.before) {
    multiply(ctx, product);
    return;
  }
  product.epilogue = ProductEpilogue::kGeluGradient;
  product.aux = &*op.before;
  if (multiply(ctx, product)) return;
  product.epilogue = ProductEpilogue::kNone;
  product.aux = nullptr;
  multiply(ctx, product);
  gelu_gradient_and_sums(ctx, {.d_out = *op.d_in, .before = op.before, .d_in = op.d_in});
}

// d_W = or += in' d_out, or its transpose; d_weight must be there
Product d_weight_product(const LinearGradient& op) {
  const bool in_out = op.layout == WeightLayout::kInOut;
  return {.left = {in_out ? op.in : op.d_out, true},
          .right = {in_out ? op.d_out : op.in},
          .out = *op.d_weight,
          .accumulate = op.d_weight_mode == GradientMode::kAccumulate};
}

// d_bias = or += the sum of the rows of d_out, by passes of our own.
void d_bias_alone(ExecutionContext& ctx, const LinearGradient& op, std::span<float> scratch) {
  gelu_gradient_and_sums(ctx, {.d_out = op.d_out, .sums = scratch});
  add_parts(ctx, {.parts = scratch.data(),
                  .dtype = DType::kFloat32,
                  .rows = linear_row_blocks(op.d_out.rows()),
                  .out = *op.d_bias,
                  .mode = op.d_weight_mode});
}

// Both gradients of the parameters in one product. The library overwrites its sums: where d_bias
// accumulates, they go to `scratch` first.
void d_weight_and_d_bias(ExecutionContext& ctx, const LinearGradient& op,
                         std::span<float> scratch) {
  const Product plain = d_weight_product(op);
  const bool accumulates = op.d_weight_mode == GradientMode::kAccumulate;
  Product product = plain;
  product.epilogue = op.layout == WeightLayout::kInOut ? ProductEpilogue::kColumnSumsRight
                                                       : ProductEpilogue::kRowSumsLeft;
  product.sums = accumulates ? static_cast<void*>(scratch.data()) : op.d_bias->raw();
  if (multiply(ctx, product)) {
    if (!accumulates) return;
    return add_parts(ctx, {.parts = scratch.data(),
                           .dtype = op.d_bias->dtype(),
                           .rows = 1,
                           .out = *op.d_bias,
                           .mode = op.d_weight_mode});
  }
  multiply(ctx, plain);
  d_bias_alone(ctx, op, scratch);
}

}  // namespace

void linear_forward(ExecutionContext& ctx, const Linear& op, const LinearShape& shape) {
  if (op.row_independent) {
    return multiply_rows(ctx, {.in = op.in,
                               .weight = op.weight,
                               .bias = op.bias,
                               .values = op.out,
                               .layout = op.layout,
                               .shape = shape});
  }
  biased_product(ctx, forward_product(op.in, op.weight, op.layout, op.out), op.bias);
}

void linear_backward(ExecutionContext& ctx, const LinearGradient& op, const LinearShape& shape) {
  d_in_product(ctx, op);
  if (!op.d_bias) {
    if (op.d_weight) multiply(ctx, d_weight_product(op));
    return;
  }
  ScratchFrame scratch(ctx);
  const std::span<float> sums =
      scratch.take<float>(linear_bias_gradient_scratch(shape.rows, shape.out_columns));
  if (op.d_weight) {
    d_weight_and_d_bias(ctx, op, sums);
  } else {
    d_bias_alone(ctx, op, sums);
  }
}

void linear_gelu_forward(ExecutionContext& ctx, const LinearGelu& op, const LinearShape& shape) {
  if (op.row_independent) {
    return multiply_rows(ctx, {.in = op.in,
                               .weight = op.weight,
                               .bias = op.bias,
                               .values = op.before,
                               .gelu = op.out,
                               .shape = shape});
  }
  Product product = forward_product(op.in, op.weight, WeightLayout::kInOut, op.out);
  product.bias = op.bias;
  const ConstView before = op.before;
  const bool in_place = op.before.raw() == op.out.raw();
  product.epilogue = in_place ? ProductEpilogue::kBiasGelu : ProductEpilogue::kBiasGeluAux;
  if (!in_place) product.aux = &before;
  if (multiply(ctx, product)) return;
  biased_product(ctx, forward_product(op.in, op.weight, WeightLayout::kInOut, op.before), op.bias);
  add_bias_and_gelu(ctx, {.values = op.before, .out = op.out});
}

void linear_gelu_backward(ExecutionContext& ctx, const LinearGeluGradient& op,
                          const LinearShape& shape) {
  ScratchFrame scratch(ctx);
  const std::span<float> sums =
      scratch.take<float>(linear_bias_gradient_scratch(shape.rows, shape.out_columns));
  gelu_gradient_and_sums(
      ctx, {.d_out = op.d_out, .before = op.before, .d_in = op.d_before, .sums = sums});
  add_parts(ctx, {.parts = sums.data(),
                  .dtype = DType::kFloat32,
                  .rows = linear_row_blocks(shape.rows),
                  .out = op.d_bias,
                  .mode = op.d_weight_mode});
  const LinearGradient products = {.d_out = op.d_before,
                                   .in = op.in,
                                   .weight = op.weight,
                                   .d_in = op.d_in,
                                   .d_weight = op.d_weight,
                                   .d_weight_mode = op.d_weight_mode};
  d_in_product(ctx, products);
  multiply(ctx, d_weight_product(products));
}

}  // namespace ovid::kernels::cuda
