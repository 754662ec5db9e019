#include <string>
#include <vector>

#include "kernels/common/errors.h"
#include "kernels/gelu/gelu_reference.h"
#include "kernels/linear/linear.h"
#include "kernels/linear/linear_reference.h"
#include "tests/catch.h"
#include "tests/kernels/cuda_checks.h"
#include "tests/kernels/linear_cuda_layer.h"

namespace ovid::kernels {

using namespace ovid::kernels::test;

namespace {

constexpr GradientMode kModes[] = {GradientMode::kOverwrite, GradientMode::kAccumulate};

// One of everything, odd strides, both sides of a block of rows and of a pack, GPT-2's widths.
constexpr Sizes kSizes[] = {{1, 1, 1}, {3, 7, 5},   {5, 65, 33},   {129, 17, 9}, {7, 100, 36},
                            {1, 8, 8}, {9, 64, 48}, {130, 64, 24}, {3, 768, 40}, {2, 40, 1600}};
// GPT-2's largest, in one precision: a block's perceptron and the head.
constexpr Sizes kPerceptron = {2, 768, 3072}, kHead = {3, 16, 50257};

void check_forward(const Layer& layer) {
  INFO(layer.name());
  const Doubles expected = layer.expected_out();
  for (const bool row_independent : {false, true}) {
    check_close(row_independent ? "by rows" : "by cuBLASLt", forward(layer, row_independent),
                expected, cuda_tolerance(layer.dtype, layer.s.K));
  }
}

struct Expected {
  Doubles d_in, d_weight, d_bias;
};

Expected expected_gradients(const Layer& layer, const Doubles& d_out, const BackwardMode& how,
                            bool d_in_accumulates) {
  const Sizes& s = layer.s;
  Expected e{Doubles(static_cast<std::size_t>(s.N * s.K)),
             Doubles(static_cast<std::size_t>(s.K * s.M)), Doubles(static_cast<std::size_t>(s.M))};
  if (d_in_accumulates) e.d_in = layer.d_in_before.values();
  if (how.mode == GradientMode::kAccumulate) {
    e.d_weight = layer.d_weight_before(how.gradient).values();
    e.d_bias = layer.d_bias_before(how.gradient).values();
  }
  const Doubles in = layer.in.values(), weight = layer.weight.values();
  reference::linear_backward(d_out.data(), in.data(), weight_of(weight, layer.layout, s),
                             e.d_in.data(), e.d_weight.data(), e.d_bias.data(), s.N, s.K, s.M);
  return e;
}

// Times gelu'(before) where the gradient goes through GELU; two roundings where that is a pass.
void check_gradients(const Layer& layer, const BackwardMode& how) {
  INFO(layer.name() << ", gradients " << name_of(how.gradient)
                    << (how.mode == GradientMode::kAccumulate ? ", added" : ", overwritten")
                    << (how.before ? ", through gelu" : ""));
  const bool d_in_accumulates = !how.before && how.mode == GradientMode::kAccumulate;
  Expected e = expected_gradients(layer, layer.d_out.values(), how, d_in_accumulates);
  if (how.before) {
    const Doubles u = layer.before.values(), d = e.d_in;
    reference::gelu_backward(d.data(), u.data(), e.d_in.data(),
                             static_cast<std::int64_t>(u.size()));
  }
  const Gradients g = backward(layer, how);
  const double gelu_error = how.before ? 40 * 0x1p-23 : 0.0;
  check_close("d_in", g.d_in, e.d_in,
              (how.before ? 2 : 1) * cuda_tolerance(layer.dtype, layer.s.M) + gelu_error);
  check_close("d_weight", g.d_weight, e.d_weight, cuda_tolerance(how.gradient, layer.s.N));
  // Rounded as a sum, which is at most the result and the 1 that was there, and once more where it
  // is added: 2 results and 1, where the root mean square is 0.57 or more.
  check_close("d_bias", g.d_bias, e.d_bias, 4 * cuda_tolerance(how.gradient, layer.s.N));
}

std::vector<DType> gradient_types(DType dtype) {
  if (dtype == DType::kFloat32) return {dtype};
  return {dtype, DType::kFloat32};
}

void check_gelu_forward(const Layer& layer) {
  INFO(layer.name());
  const Doubles u = layer.expected_out();
  Doubles expected(u.size());
  reference::gelu_forward(u.data(), expected.data(), static_cast<std::int64_t>(u.size()));
  for (const bool row_independent : {false, true}) {
    for (const bool in_place : {false, true}) {
      INFO((row_independent ? "by rows" : "by cuBLASLt") << (in_place ? ", in place" : ""));
      const GeluLayer r = gelu_forward(layer, row_independent, in_place);
      if (!in_place) check_close("before", r.before, u, cuda_tolerance(layer.dtype, layer.s.K));
      // u carries the sum's error, and is rounded before GELU where that is a pass; GELU's slope is
      // at most 1.13, its results' root mean square more than half of u's.
      check_close("out", r.out, expected,
                  3 * cuda_tolerance(layer.dtype, layer.s.K) + 40 * 0x1p-23);
    }
  }
}

void check_gelu_backward(const Layer& layer, const BackwardMode& how) {
  INFO(layer.name() << ", gradients " << name_of(how.gradient));
  const Tensor before = rounded_to(layer.dtype, Tensor::random({layer.s.N, layer.s.M}, 29, 3.0));
  Gradients g{layer.d_in_before, layer.d_weight_before(how.gradient),
              layer.d_bias_before(how.gradient)};
  Tensor d_before = layer.d_out;  // in place
  CudaRun run;
  const ConstView in = run.input(layer.in), weight = run.input(layer.weight);
  const ConstView u = run.input(before);
  const View d = run.output(d_before), d_in = run.output(g.d_in);
  const View d_weight = run.output(g.d_weight), d_bias = run.output(g.d_bias);
  run.op([&](ExecutionContext& ctx) {
    linear_gelu_backward(ctx, {.d_out = d,
                               .in = in,
                               .weight = weight,
                               .before = u,
                               .d_before = d,
                               .d_in = d_in,
                               .d_weight = d_weight,
                               .d_bias = d_bias,
                               .d_weight_mode = how.mode});
  });
  run.finish();
  const Doubles d_out = layer.d_out.values(), at = before.values();
  Doubles d_u(at.size());
  reference::gelu_backward(d_out.data(), at.data(), d_u.data(),
                           static_cast<std::int64_t>(at.size()));
  check_close("d_before", d_before, d_u, cuda_tolerance(layer.dtype, 1) + 40 * 0x1p-23);
  const Expected exact = expected_gradients(layer, d_u, how, false);
  // The products read d_before as it was rounded, the bias gradient is summed before that.
  const Expected rounded = expected_gradients(layer, d_before.values(), how, false);
  check_close("d_in", g.d_in, rounded.d_in, cuda_tolerance(layer.dtype, layer.s.M));
  check_close("d_weight", g.d_weight, rounded.d_weight, cuda_tolerance(how.gradient, layer.s.N));
  check_close("d_bias", g.d_bias, exact.d_bias,
              cuda_tolerance(how.gradient, layer.s.N) + 40 * 0x1p-23);
}

template <class Call>
std::string refusal_of(const Call& call) {
  try {
    call();
  } catch (const ShapeError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("linear on CUDA agrees with its reference in every precision", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for_each_precision([](DType dtype) {
    for (const Sizes& s : kSizes) {
      for (const WeightLayout layout : kLayouts) {
        check_forward({.s = s, .dtype = dtype, .layout = layout});
      }
    }
  });
  check_forward({.s = kPerceptron, .dtype = DType::kBfloat16});
  check_forward({.s = kHead, .dtype = DType::kBfloat16, .layout = WeightLayout::kOutIn});
}

TEST_CASE("linear's gradients on CUDA agree with the reference, in A and in float32",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for_each_precision([](DType dtype) {
    for (const Sizes& s : kSizes) {
      for (const WeightLayout layout : kLayouts) {
        const Layer layer{.s = s, .dtype = dtype, .layout = layout};
        for (const DType gradient : gradient_types(dtype)) {
          for (const GradientMode mode : kModes) {
            check_gradients(layer, {.mode = mode, .gradient = gradient});
          }
        }
        check_gradients(layer,
                        {.mode = GradientMode::kAccumulate, .gradient = dtype, .before = true});
      }
    }
  });
  const BackwardMode added = {.mode = GradientMode::kAccumulate, .gradient = DType::kFloat32};
  check_gradients({.s = {2, 3072, 768}, .dtype = DType::kBfloat16},
                  {.mode = added.mode, .gradient = added.gradient, .before = true});
  check_gradients({.s = kHead, .dtype = DType::kBfloat16, .layout = WeightLayout::kOutIn}, added);
}

TEST_CASE("linear with GELU on CUDA agrees with its reference", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for_each_precision([](DType dtype) {
    for (const Sizes& s : kSizes) {
      const Layer layer{.s = s, .dtype = dtype};
      check_gelu_forward(layer);
      for (const DType gradient : gradient_types(dtype)) {
        for (const GradientMode mode : kModes) {
          check_gelu_backward(layer, {.mode = mode, .gradient = gradient});
        }
      }
    }
  });
  const Layer layer{.s = kPerceptron, .dtype = DType::kBfloat16};
  check_gelu_forward(layer);
  check_gelu_backward(layer, {.mode = GradientMode::kAccumulate, .gradient = DType::kFloat32});
}

TEST_CASE("no rows leave zero gradients, or what was there", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  const Layer layer{.s = {0, 16, 24}, .dtype = DType::kBfloat16};
  for (const GradientMode mode : kModes) {
    check_gradients(layer, {.mode = mode, .gradient = DType::kFloat32});
    check_gelu_backward(layer, {.mode = mode, .gradient = DType::kBfloat16});
  }
  CHECK(forward(layer).values().empty());
}

TEST_CASE("linear on CUDA refuses operands that do not fit", "[kernels][cuda]") {
  ScratchArena arena;
  ExecutionContext ctx = ExecutionContext::dry_run(DeviceKind::kCuda, 1, arena);
  const ConstView in(nullptr, DType::kBfloat16, {4, 8}), weight(nullptr, DType::kBfloat16, {8, 16});
  const ConstView d_out(nullptr, DType::kBfloat16, {4, 16});
  const View d_weight(nullptr, DType::kFloat32, {8, 16}), d_in(nullptr, DType::kBfloat16, {4, 8});
  const View half_bias(nullptr, DType::kBfloat16, {16}), out(nullptr, DType::kFloat32, {4, 16});
  CHECK(refusal_of([&] { linear_forward(ctx, {.in = in, .weight = weight, .out = out}); }) ==
        "linear_forward: out is float32 (4, 16), expected bfloat16 with rows of 16, 4 of them");
  LinearGradient op{.d_out = d_out, .in = in, .weight = weight, .d_weight = d_weight};
  op.d_bias = half_bias;
  CHECK(refusal_of([&] { linear_backward(ctx, op); }) ==
        "linear_backward: d_bias is bfloat16 (16), expected float32 (16)");
  op.d_bias.reset();
  op.before = in;
  CHECK(refusal_of([&] { linear_backward(ctx, op); }).find("before is given and d_in is not") !=
        std::string::npos);
  op.d_in = d_in;
  op.d_in_mode = GradientMode::kAccumulate;
  CHECK(refusal_of([&] { linear_backward(ctx, op); }).find("d_in is added to") !=
        std::string::npos);
}

}  // namespace ovid::kernels
