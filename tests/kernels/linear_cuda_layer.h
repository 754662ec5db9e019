#pragma once

#include <string>
#include <vector>

#include "kernels/linear/linear.h"
#include "kernels/linear/linear_reference.h"
#include "tests/kernels/cuda_checks.h"

// A linear layer with random operands, and its passes on CUDA.
namespace ovid::kernels::test {

using Doubles = std::vector<double>;
inline constexpr WeightLayout kLayouts[] = {WeightLayout::kInOut, WeightLayout::kOutIn};

struct Sizes {
  std::int64_t N, K, M;
};
// To the next stride, aligned where the columns are.
inline std::int64_t padded_stride(std::int64_t columns) {
  return columns + (columns % 8 == 0 ? 8 : 5);
}

inline reference::LinearWeight<double> weight_of(const Doubles& values, WeightLayout layout,
                                                 const Sizes& s) {
  if (layout == WeightLayout::kInOut) return {values.data(), s.M, 1};
  return {values.data(), 1, s.K};
}

// The operands of a layer in one precision.
struct Layer {
  Sizes s;
  DType dtype;
  WeightLayout layout = WeightLayout::kInOut;
  Shape weight_shape = layout == WeightLayout::kInOut ? Shape{s.K, s.M} : Shape{s.M, s.K};
  Tensor in = rounded_to(dtype, Tensor::random({s.N, s.K}, 21));
  Tensor weight = rounded_to(dtype, Tensor::random(weight_shape, 22));
  Tensor bias = rounded_to(dtype, Tensor::random({s.M}, 23));
  Tensor d_out = rounded_to(dtype, Tensor::random({s.N, s.M}, 24).padded(padded_stride(s.M)));
  Tensor d_in_before = rounded_to(dtype, Tensor::random({s.N, s.K}, 25));
  Tensor before = rounded_to(dtype, Tensor::random({s.N, s.K}, 28, 3.0));

  Tensor d_weight_before(DType gradient) const {
    return rounded_to(gradient, Tensor::random(weight_shape, 26));
  }
  Tensor d_bias_before(DType gradient) const {
    return rounded_to(gradient, Tensor::random({s.M}, 27));
  }
  Doubles expected_out() const {
    Doubles out(static_cast<std::size_t>(s.N * s.M));
    const Doubles x = in.values(), w = weight.values(), b = bias.values();
    reference::linear_forward(x.data(), weight_of(w, layout, s), b.data(), out.data(), s.N, s.K,
                              s.M);
    return out;
  }
  std::string name() const {
    return std::string(name_of(dtype)) + " " + Shape{s.N, s.K, s.M}.text() +
           (layout == WeightLayout::kInOut ? " in, out" : " out, in");
  }
};

inline Tensor forward(const Layer& layer, bool row_independent = false, std::int64_t rows = -1,
                      bool tf32 = false) {
  Tensor out(layer.dtype, {rows < 0 ? layer.s.N : rows, layer.s.M}, padded_stride(layer.s.M));
  CudaRun run;
  const ConstView in = run.input(layer.in), weight = run.input(layer.weight);
  const ConstView bias = run.input(layer.bias);
  const View y = run.output(out);
  run.op([&](ExecutionContext& ctx) {
    ctx.set_allow_tf32(tf32);
    linear_forward(ctx, {.in = rows < 0 ? in : in.row_range(layer.s.N - rows, rows),
                         .weight = weight,
                         .bias = bias,
                         .out = y,
                         .layout = layer.layout,
                         .row_independent = row_independent});
  });
  run.finish();
  return out;
}

struct Gradients {
  Tensor d_in, d_weight, d_bias;
};

struct BackwardMode {
  GradientMode mode;
  DType gradient;
  bool before = false;
};

inline Gradients backward(const Layer& layer, const BackwardMode& how) {
  Gradients g{layer.d_in_before, layer.d_weight_before(how.gradient),
              layer.d_bias_before(how.gradient)};
  CudaRun run;
  const ConstView d_out = run.input(layer.d_out), in = run.input(layer.in);
  const ConstView weight = run.input(layer.weight), before = run.input(layer.before);
  const View d_in = run.output(g.d_in), d_weight = run.output(g.d_weight);
  const View d_bias = run.output(g.d_bias);
  run.op([&](ExecutionContext& ctx) {
    LinearGradient op = {.d_out = d_out,
                         .in = in,
                         .weight = weight,
                         .d_in = d_in,
                         .d_weight = d_weight,
                         .d_bias = d_bias,
                         .layout = layer.layout,
                         .d_in_mode = how.before ? GradientMode::kOverwrite : how.mode,
                         .d_weight_mode = how.mode};
    if (how.before) op.before = before;
    linear_backward(ctx, op);
  });
  run.finish();
  return g;
}

struct GeluLayer {
  Tensor before, out;
};
inline GeluLayer gelu_forward(const Layer& layer, bool row_independent, bool in_place) {
  const std::int64_t stride = padded_stride(layer.s.M);
  GeluLayer r{Tensor(layer.dtype, {layer.s.N, layer.s.M}, stride),
              Tensor(layer.dtype, {layer.s.N, layer.s.M}, stride)};
  CudaRun run;
  const ConstView in = run.input(layer.in), weight = run.input(layer.weight);
  const ConstView bias = run.input(layer.bias);
  const View before = run.output(r.before), out = run.output(r.out);
  run.op([&](ExecutionContext& ctx) {
    linear_gelu_forward(ctx, {.in = in,
                              .weight = weight,
                              .bias = bias,
                              .before = in_place ? out : before,
                              .out = out,
                              .row_independent = row_independent});
  });
  run.finish();
  return r;
}

}  // namespace ovid::kernels::test
