#include "kernels/linear/linear.h"

#include <fmt/format.h>

#include "kernels/gelu/gelu_reference.h"
#include "kernels/linear/linear_reference.h"
#include "tests/catch.h"
#include "tests/kernels/op_checks.h"

namespace ovid::kernels {

using namespace ovid::kernels::test;

namespace {

using Doubles = std::vector<double>;
constexpr WeightLayout kLayouts[] = {WeightLayout::kInOut, WeightLayout::kOutIn};

struct Sizes {
  std::int64_t N, K, M;
};

Doubles zeros(std::int64_t count) {
  return Doubles(static_cast<std::size_t>(count), 0.0);
}

reference::LinearWeight<double> weight_of(const Doubles& values, WeightLayout layout,
                                          const Sizes& s) {
  if (layout == WeightLayout::kInOut) return {values.data(), s.M, 1};
  return {values.data(), 1, s.K};
}

Doubles reference_forward(const Doubles& in, const Doubles& weight, const Doubles& bias,
                          WeightLayout layout, const Sizes& s) {
  Doubles out = zeros(s.N * s.M);
  reference::linear_forward(in.data(), weight_of(weight, layout, s),
                            bias.empty() ? nullptr : bias.data(), out.data(), s.N, s.K, s.M);
  return out;
}

struct Gradients {
  Doubles d_in, d_weight, d_bias;
};

// Added to what `start` holds.
Gradients reference_backward(const Doubles& d_out, const Doubles& in, const Doubles& weight,
                             WeightLayout layout, const Sizes& s, Gradients start) {
  reference::linear_backward(d_out.data(), in.data(), weight_of(weight, layout, s),
                             start.d_in.data(), start.d_weight.data(), start.d_bias.data(), s.N,
                             s.K, s.M);
  return start;
}

Gradients no_gradients(const Sizes& s) {
  return {zeros(s.N * s.K), zeros(s.K * s.M), zeros(s.M)};
}

Doubles gelu_of(const Doubles& u) {
  Doubles out(u.size());
  reference::gelu_forward(u.data(), out.data(), static_cast<std::int64_t>(u.size()));
  return out;
}

Doubles gelu_gradient_of(const Doubles& d_out, const Doubles& u) {
  Doubles d_u(u.size());
  reference::gelu_backward(d_out.data(), u.data(), d_u.data(), static_cast<std::int64_t>(u.size()));
  return d_u;
}

// Operands of one layer; gradients begin with random values, so that what accumulates is seen to.
struct Layer {
  Sizes s;
  WeightLayout layout = WeightLayout::kInOut;
  Shape weight_shape = layout == WeightLayout::kInOut ? Shape{s.K, s.M} : Shape{s.M, s.K};
  Tensor in = Tensor::random({s.N, s.K}, 21);
  Tensor weight = Tensor::random(weight_shape, 22);
  Tensor bias = Tensor::random({s.M}, 23);
  Tensor d_out = Tensor::random({s.N, s.M}, 24);
  Tensor d_in_before = Tensor::random({s.N, s.K}, 25);
  Tensor d_weight_before = Tensor::random(weight_shape, 26);
  Tensor d_bias_before = Tensor::random({s.M}, 27);

  std::string name(const char* op) const {
    return fmt::format("{} N={} K={} M={} {}", op, s.N, s.K, s.M,
                       layout == WeightLayout::kInOut ? "(in, out)" : "(out, in)");
  }
  Tensor out() const { return {DType::kFloat32, {s.N, s.M}}; }
};

Tensor forward(const Layer& layer, bool row_independent, int threads = 2) {
  Tensor out = Tensor(DType::kFloat32, {layer.s.N, layer.s.M}, layer.s.M + 3);
  run_op(threads, [&](ExecutionContext& ctx) {
    linear_forward(ctx, {.in = layer.in,
                         .weight = layer.weight,
                         .bias = layer.bias,
                         .out = out,
                         .layout = layer.layout,
                         .row_independent = row_independent});
  });
  return out;
}

std::vector<Tensor> backward(const Layer& layer, GradientMode mode, int threads = 2) {
  std::vector<Tensor> g;
  g.push_back(layer.d_in_before);
  g.push_back(layer.d_weight_before);
  g.push_back(layer.d_bias_before);
  const Tensor padded = layer.d_out.padded(layer.s.M + 5);
  run_op(threads, [&](ExecutionContext& ctx) {
    linear_backward(ctx, {.d_out = padded,
                          .in = layer.in,
                          .weight = layer.weight,
                          .d_in = g[0],
                          .d_weight = g[1],
                          .d_bias = g[2],
                          .layout = layer.layout,
                          .d_in_mode = mode,
                          .d_weight_mode = mode});
  });
  return g;
}

void check_layer(const Layer& layer) {
  const Sizes& s = layer.s;
  const Doubles expected = reference_forward(layer.in.values(), layer.weight.values(),
                                             layer.bias.values(), layer.layout, s);
  for (const bool row_independent : {false, true}) {
    check_close(layer.name("linear_forward"), forward(layer, row_independent), expected,
                tolerance(DType::kFloat32, s.K));
  }
  for (const GradientMode mode : {GradientMode::kOverwrite, GradientMode::kAccumulate}) {
    Gradients start = no_gradients(s);
    if (mode == GradientMode::kAccumulate) {
      start.d_bias = layer.d_bias_before.values();
      start.d_in = layer.d_in_before.values();
      start.d_weight = layer.d_weight_before.values();
    }
    const Gradients want = reference_backward(layer.d_out.values(), layer.in.values(),
                                              layer.weight.values(), layer.layout, s, start);
    const std::vector<Tensor> got = backward(layer, mode);
    check_close(layer.name("linear_backward d_in"), got[0], want.d_in,
                tolerance(DType::kFloat32, s.M));
    check_close(layer.name("linear_backward d_weight"), got[1], want.d_weight,
                tolerance(DType::kFloat32, s.N));
    check_close(layer.name("linear_backward d_bias"), got[2], want.d_bias,
                tolerance(DType::kFloat32, s.N));
  }
}

struct GeluResults {
  Tensor before, out, d_before, d_in, d_weight, d_bias;
};

GeluResults run_gelu_layer(const Layer& layer, int threads = 2, bool row_independent = false,
                           GradientMode mode = GradientMode::kAccumulate) {
  GeluResults r{layer.out(),
                layer.out(),
                layer.out(),
                Tensor(DType::kFloat32, {layer.s.N, layer.s.K}),
                Tensor(layer.d_weight_before),
                Tensor(layer.d_bias_before)};
  run_op(threads, [&](ExecutionContext& ctx) {
    linear_gelu_forward(ctx, {.in = layer.in,
                              .weight = layer.weight,
                              .bias = layer.bias,
                              .before = r.before,
                              .out = r.out,
                              .row_independent = row_independent});
  });
  run_op(threads, [&](ExecutionContext& ctx) {
    linear_gelu_backward(ctx, {.d_out = layer.d_out,
                               .in = layer.in,
                               .weight = layer.weight,
                               .before = r.before,
                               .d_before = r.d_before,
                               .d_in = r.d_in,
                               .d_weight = r.d_weight,
                               .d_bias = r.d_bias,
                               .d_weight_mode = mode});
  });
  return r;
}

// Against the composition of the two references.
void check_gelu_layer(const Layer& layer) {
  const Sizes& s = layer.s;
  const Doubles u = reference_forward(layer.in.values(), layer.weight.values(), layer.bias.values(),
                                      layer.layout, s);
  for (const bool row_independent : {false, true}) {
    const GeluResults r = run_gelu_layer(layer, 2, row_independent);
    check_close(layer.name("linear_gelu_forward before"), r.before, u,
                tolerance(DType::kFloat32, s.K));
    check_close(layer.name("linear_gelu_forward out"), r.out, gelu_of(u),
                tolerance(DType::kFloat32, s.K));
    // The derivative at the u that the op computed: its error has been checked, and is not the
    // gradient's.
    const Doubles d_u = gelu_gradient_of(layer.d_out.values(), r.before.values());
    Gradients start{zeros(s.N * s.K), layer.d_weight_before.values(), layer.d_bias_before.values()};
    const Gradients want =
        reference_backward(d_u, layer.in.values(), layer.weight.values(), layer.layout, s, start);
    check_close(layer.name("linear_gelu_backward d_before"), r.d_before, d_u,
                tolerance(DType::kFloat32, 1));
    check_close(layer.name("linear_gelu_backward d_in"), r.d_in, want.d_in,
                tolerance(DType::kFloat32, s.M));
    check_close(layer.name("linear_gelu_backward d_weight"), r.d_weight, want.d_weight,
                tolerance(DType::kFloat32, s.N));
    check_close(layer.name("linear_gelu_backward d_bias"), r.d_bias, want.d_bias,
                tolerance(DType::kFloat32, s.N));
    const GeluResults overwritten =
        run_gelu_layer(layer, 2, row_independent, GradientMode::kOverwrite);
    const Gradients alone = reference_backward(d_u, layer.in.values(), layer.weight.values(),
                                               layer.layout, s, no_gradients(s));
    check_close(layer.name("linear_gelu_backward d_weight, overwritten"), overwritten.d_weight,
                alone.d_weight, tolerance(DType::kFloat32, s.N));
    check_close(layer.name("linear_gelu_backward d_bias, overwritten"), overwritten.d_bias,
                alone.d_bias, tolerance(DType::kFloat32, s.N));
  }
}

}  // namespace

TEST_CASE("linear's reference gradients match finite differences", "[kernels]") {
  const Sizes s{3, 4, 5};
  const Doubles in = random_doubles(s.N * s.K, 1), weight = random_doubles(s.K * s.M, 2);
  const Doubles bias = random_doubles(s.M, 3), d_out = random_doubles(s.N * s.M, 4);
  for (const WeightLayout layout : kLayouts) {
    const Gradients g = reference_backward(d_out, in, weight, layout, s, no_gradients(s));
    check_gradient(
        "linear d_in",
        [&](const Doubles& x) { return dot(reference_forward(x, weight, bias, layout, s), d_out); },
        in, g.d_in);
    check_gradient(
        "linear d_weight",
        [&](const Doubles& x) { return dot(reference_forward(in, x, bias, layout, s), d_out); },
        weight, g.d_weight);
    check_gradient(
        "linear d_bias",
        [&](const Doubles& x) { return dot(reference_forward(in, weight, x, layout, s), d_out); },
        bias, g.d_bias);
  }
}

TEST_CASE("linear agrees with its reference at odd sizes, in both layouts and modes",
          "[kernels][cpu]") {
  for (const WeightLayout layout : kLayouts) {
    for (const Sizes& s : {Sizes{1, 1, 1}, Sizes{3, 7, 5}, Sizes{17, 15, 33}, Sizes{31, 49, 47},
                           Sizes{65, 16, 97}}) {
      check_layer({s, layout});
    }
  }
}

TEST_CASE("linear's bias and gelu agree with their references on each instruction set",
          "[kernels][cpu]") {
  for_each_instruction_set([] {
    check_layer({{5, 9, 37}});
    for (const Sizes& s : {Sizes{1, 1, 1}, Sizes{19, 8, 33}, Sizes{7, 17, 64}})
      check_gelu_layer({s});
  });
}

TEST_CASE("linear agrees with its reference at the widths of GPT-2", "[kernels][cpu]") {
  for (const std::int64_t width : {768, 1024, 1280, 1600}) check_layer({{2, width, 3 * width / 4}});
  check_gelu_layer({{2, 768, 3072}});
  check_layer({{2, 768, 5001}, WeightLayout::kOutIn});
}

TEST_CASE("linear without a bias, a bias gradient or an input gradient leaves them out",
          "[kernels][cpu]") {
  const Layer layer{{6, 10, 20}};
  Tensor out = layer.out(), d_weight(layer.d_weight_before);
  run_op(2, [&](ExecutionContext& ctx) {
    linear_forward(ctx, {.in = layer.in, .weight = layer.weight, .out = out});
  });
  check_close(
      "linear_forward without bias", out,
      reference_forward(layer.in.values(), layer.weight.values(), {}, layer.layout, layer.s),
      tolerance(DType::kFloat32, 10));
  run_op(2, [&](ExecutionContext& ctx) {
    linear_backward(
        ctx, {.d_out = layer.d_out, .in = layer.in, .weight = layer.weight, .d_weight = d_weight});
  });
  CHECK(d_weight.same_bits(backward(layer, GradientMode::kAccumulate)[1]));
}

TEST_CASE("linear_gelu may leave no trace of u forward, and write d_u over d_out backward",
          "[kernels][cpu]") {
  const Layer layer{{9, 20, 50}};
  const GeluResults apart = run_gelu_layer(layer);
  Tensor both = layer.out(), d_before(layer.d_out), d_in(DType::kFloat32, {9, 20});
  Tensor d_weight(layer.d_weight_before), d_bias(layer.d_bias_before);
  run_op(2, [&](ExecutionContext& ctx) {
    linear_gelu_forward(
        ctx,
        {.in = layer.in, .weight = layer.weight, .bias = layer.bias, .before = both, .out = both});
  });
  run_op(2, [&](ExecutionContext& ctx) {
    linear_gelu_backward(ctx, {.d_out = d_before,
                               .in = layer.in,
                               .weight = layer.weight,
                               .before = apart.before,
                               .d_before = d_before,
                               .d_in = d_in,
                               .d_weight = d_weight,
                               .d_bias = d_bias});
  });
  CHECK(both.same_bits(apart.out));
  CHECK(d_before.same_bits(apart.d_before));
  CHECK(d_in.same_bits(apart.d_in));
  CHECK(d_weight.same_bits(apart.d_weight));
  CHECK(d_bias.same_bits(apart.d_bias));
}

TEST_CASE("linear has equal bits on every number of threads", "[kernels][cpu]") {
  for (const WeightLayout layout : kLayouts) {
    const Layer layer{{300, 128, 200}, layout};
    check_same_bits_on_threads("linear", [&](int threads) {
      std::vector<Tensor> results = backward(layer, GradientMode::kAccumulate, threads);
      results.push_back(forward(layer, false, threads));
      results.push_back(forward(layer, true, threads));
      return results;
    });
  }
  const Layer layer{{1100, 64, 96}};
  check_same_bits_on_threads("linear_gelu", [&](int threads) {
    GeluResults r = run_gelu_layer(layer, threads);
    std::vector<Tensor> results;
    for (Tensor* tensor : {&r.before, &r.out, &r.d_before, &r.d_in, &r.d_weight, &r.d_bias}) {
      results.push_back(std::move(*tensor));
    }
    return results;
  });
}

TEST_CASE("a row of a row-independent linear has the bits it has alone", "[kernels][cpu]") {
  for (const WeightLayout layout : kLayouts) {
    const Layer layer{{7, 96, 130}, layout};
    const Tensor together = forward(layer, true);
    for (std::int64_t row = 0; row < layer.s.N; ++row) {
      Tensor alone(DType::kFloat32, {1, layer.s.M});
      run_op(3, [&](ExecutionContext& ctx) {
        linear_forward(ctx, {.in = layer.in.view().row_range(row, 1),
                             .weight = layer.weight,
                             .bias = layer.bias,
                             .out = alone,
                             .layout = layout,
                             .row_independent = true});
      });
      const Doubles all = together.values(), one = alone.values();
      CHECK(std::equal(one.begin(), one.end(), all.begin() + row * layer.s.M));
    }
  }
}

TEST_CASE("linear names the operand that does not fit", "[kernels]") {
  const Layer layer{{4, 6, 8}};
  Tensor out = layer.out(), narrow(DType::kFloat32, {4, 7});
  Tensor d_weight(layer.d_weight_before), square(DType::kFloat32, {4, 4}),
      weight(DType::kFloat32, {4, 4});
  CHECK(shape_error_of([&](ExecutionContext& ctx) {
          linear_forward(ctx, {.in = layer.in, .weight = layer.weight, .out = narrow});
        }) == "linear_forward: out is float32 (4, 7), expected float32 with rows of 8, 4 of them");
  CHECK(shape_error_of([&](ExecutionContext& ctx) {
          linear_forward(
              ctx,
              {.in = layer.in, .weight = layer.weight, .out = out, .layout = WeightLayout::kOutIn});
        }).find("linear_forward: weight is float32 (6, 8)") == 0);
  CHECK(shape_error_of([&](ExecutionContext& ctx) {
          linear_forward(ctx,
                         {.in = layer.in, .weight = layer.weight, .bias = layer.in, .out = out});
        }).find("linear_forward: bias") == 0);
  CHECK(shape_error_of([&](ExecutionContext& ctx) {
          linear_backward(
              ctx, {.d_out = narrow, .in = layer.in, .weight = layer.weight, .d_weight = d_weight});
        }).find("linear_backward: d_out") == 0);
  CHECK(
      shape_error_of([&](ExecutionContext& ctx) {
        linear_backward(
            ctx,
            {.d_out = square, .in = square, .weight = weight, .d_in = square, .d_weight = weight});
      }).find("linear_backward: d_in aliases d_out") == 0);
}

}  // namespace ovid::kernels
