#include "kernels/gradient_norm/gradient_norm.h"

#include <cmath>
#include <limits>

#include "kernels/gradient_norm/gradient_norm_reference.h"
#include "tests/catch.h"
#include "tests/kernels/op_checks.h"

namespace ovid::kernels::test {

namespace {

Tensor sum_of_squares(const Tensor& gradient, int threads) {
  Tensor sum(DType::kFloat64, Shape{});
  run_op(threads, [&](ExecutionContext& ctx) {
    gradient_norm(ctx, {.gradient = gradient, .sum_of_squares = sum});
  });
  return sum;
}

}  // namespace

TEST_CASE("the sum of squares matches the reference", "[kernels][cpu]") {
  for_each_instruction_set([] {
    for (const std::int64_t count : {1, 3, 7, 8, 9, 31, 32, 33, 32767, 32768, 32769, 100001}) {
      INFO("count " << count);
      const Tensor gradient = Tensor::random({count}, 1);
      const double expected = reference::sum_of_squares(gradient.data<float>(), count);
      check_close("sum_of_squares", sum_of_squares(gradient, 2), {expected},
                  tolerance(DType::kFloat64, count));
    }
  });
}

TEST_CASE("the sum of squares is added where asked", "[kernels][cpu]") {
  Tensor sum = Tensor::zeros(DType::kFloat64, Shape{});
  const Tensor gradient = Tensor::filled({3}, 2.0f);
  run_op(1, [&](ExecutionContext& ctx) {
    for (int i = 0; i < 2; ++i) {
      gradient_norm(
          ctx, {.gradient = gradient, .sum_of_squares = sum, .mode = GradientMode::kAccumulate});
    }
  });
  CHECK(sum.values()[0] == 24.0);
}

TEST_CASE("squares that overflow float are summed, and NaN is seen", "[kernels][cpu]") {
  for_each_instruction_set([] {
    CHECK(sum_of_squares(Tensor::filled({40}, 0x1p100f), 1).values()[0] == 40 * 0x1p200);
    Tensor gradient = Tensor::filled({40}, 1.0f);
    gradient.data<float>()[20] = std::numeric_limits<float>::quiet_NaN();
    CHECK(std::isnan(sum_of_squares(gradient, 1).values()[0]));
  });
}

TEST_CASE("the sum of squares has equal bits on every number of threads", "[kernels][cpu]") {
  const Tensor gradient = Tensor::random({300001}, 2);
  check_same_bits_on_threads("gradient_norm", [&](int threads) {
    std::vector<Tensor> results;
    results.push_back(sum_of_squares(gradient, threads));
    return results;
  });
}

TEST_CASE("the scale of clipping brings the norm to its limit, and is NaN where there is no norm",
          "[kernels][cpu]") {
  const auto scale_of = [](float element, double clip, float unscale) {
    const Tensor gradient = Tensor::filled({16}, element);
    Tensor sum(DType::kFloat64, Shape{}), scale(DType::kFloat32, Shape{});
    run_op(1, [&](ExecutionContext& ctx) {
      gradient_norm(ctx, {.gradient = gradient,
                          .sum_of_squares = sum,
                          .clip_scale = scale,
                          .clip = clip,
                          .unscale = unscale});
    });
    return scale.values()[0];
  };
  CHECK(scale_of(2.0f, 0.0, 1.0f) == 1.0);  // the norm is 8
  CHECK(scale_of(2.0f, 8.0, 1.0f) == 1.0);
  CHECK(scale_of(2.0f, 2.0, 1.0f) == 0.25);
  CHECK(scale_of(2.0f, 2.0, 0.5f) == 0.25);
  CHECK(scale_of(2.0f, 4.0, 0.5f) == 0.5);
  CHECK(scale_of(0.0f, 1.0, 1.0f) == 1.0);
  CHECK(std::isnan(scale_of(INFINITY, 1.0, 1.0f)));
  CHECK(std::isnan(scale_of(NAN, 0.0, 1.0f)));
}

TEST_CASE("gradient_norm refuses operands that do not fit", "[kernels]") {
  ScratchArena arena;
  ExecutionContext ctx = ExecutionContext::dry_run(DeviceKind::kCpu, 1, arena);
  const Tensor gradient = Tensor::filled({3}, 1.0f);
  Tensor sum(DType::kFloat32, Shape{});
  CHECK_THROWS_WITH(gradient_norm(ctx, {.gradient = gradient, .sum_of_squares = sum}),
                    "gradient_norm: sum_of_squares is float32 (), expected float64 ()");
  Tensor sum64(DType::kFloat64, Shape{});
  CHECK_THROWS_WITH(
      gradient_norm(ctx, {.gradient = gradient, .sum_of_squares = sum64, .clip = -1.0}),
      "gradient_norm: clip is -1.000000, expected 0 (no clipping) or more");
}

}  // namespace ovid::kernels::test
