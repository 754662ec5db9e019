#include <cmath>

#include "kernels/gradient_norm/gradient_norm.h"
#include "kernels/gradient_norm/gradient_norm_reference.h"
#include "tests/catch.h"
#include "tests/kernels/cuda_checks.h"

namespace ovid::kernels {

using namespace ovid::kernels::test;

namespace {

struct Result {
  Tensor sum;
  Tensor clip_scale;
  double value() const { return sum.values()[0]; }
  double scale() const { return clip_scale.values()[0]; }
};

struct Clipping {
  double clip = 0.0;
  float unscale = 1.0f;
};

// Of the elements from `first` on, added to `before` where it is given.
Result norm(const Tensor& gradient, std::int64_t first = 0,
            std::optional<double> before = std::nullopt, Clipping clipping = {}) {
  Result result{Tensor(DType::kFloat64, Shape{}), Tensor(DType::kFloat32, Shape{})};
  if (before) *result.sum.data<double>() = *before;
  CudaRun run;
  const ConstView all = run.input(gradient);
  const View sum = run.output(result.sum), scale = run.output(result.clip_scale);
  const std::int64_t n = all.elements() - first;
  const auto* address = static_cast<const std::byte*>(all.raw()) +
                        first * static_cast<std::int64_t>(bytes_of(all.dtype()));
  run.op([&](ExecutionContext& ctx) {
    gradient_norm(ctx, {.gradient = ConstView(address, all.dtype(), Shape{n}),
                        .sum_of_squares = sum,
                        .mode = before ? GradientMode::kAccumulate : GradientMode::kOverwrite,
                        .clip_scale = scale,
                        .clip = clipping.clip,
                        .unscale = clipping.unscale});
  });
  run.finish();
  return result;
}

}  // namespace

TEST_CASE("the sum of squares on CUDA agrees with its reference in every precision",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for_each_precision([](DType dtype) {
    for (const std::int64_t count : {1, 7, 8, 9, 2047, 8191, 8192, 8193, 100001}) {
      for (const std::int64_t first : {0, 1, 5}) {
        if (first >= count) continue;
        INFO("count " << count << " from " << first);
        const Tensor gradient = rounded_to(dtype, Tensor::random({count}, 1));
        const std::vector<double> values = gradient.values();
        const double expected = reference::sum_of_squares(values.data() + first, count - first);
        // Eight squares at most are added in float, the rest in double.
        check_close("sum_of_squares", norm(gradient, first).sum, {expected}, 8 * 0x1p-24);
      }
    }
  });
}

TEST_CASE("the sum of squares on CUDA is added where asked, and has equal bits twice",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  CHECK(norm(Tensor::filled({3}, 2.0f), 0, 12.0).value() == 24.0);
  CHECK(norm(Tensor::filled({3}, 2.0f), 3, 12.0).value() == 12.0);
  const Tensor gradient = rounded_to(DType::kBfloat16, Tensor::random({70001}, 2));
  CHECK(norm(gradient).sum.same_bits(norm(gradient).sum));
}

TEST_CASE("squares beyond the range of float are summed on CUDA, and NaN is seen",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  CHECK(norm(Tensor::filled({40}, 0x1p100f)).value() == 40 * 0x1p200);
  CHECK(norm(Tensor::filled({40}, 0x1p-100f)).value() == 40 * 0x1p-200);
  CHECK(norm(Tensor::filled({40}, 0.0f)).value() == 0.0);
  Tensor gradient = Tensor::filled({40}, 1.0f);
  for (const std::int64_t place : {0, 20, 39}) {
    gradient.data<float>()[place] = NAN;
    const Result result = norm(gradient);
    CHECK(std::isnan(result.value()));
    CHECK(std::isnan(result.scale()));
    gradient.data<float>()[place] = 1.0f;
  }
}

TEST_CASE("the scale of clipping is worked out on CUDA", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  const Tensor gradient = Tensor::filled({16}, 2.0f);  // norm 8
  CHECK(norm(gradient).scale() == 1.0);
  CHECK(norm(gradient, 0, {}, {.clip = 8.0}).scale() == 1.0);
  CHECK(norm(gradient, 0, {}, {.clip = 2.0}).scale() == 0.25);
  CHECK(norm(gradient, 0, {}, {.clip = 2.0, .unscale = 0.5f}).scale() == 0.25);
  CHECK(norm(gradient, 0, {}, {.clip = 4.0, .unscale = 0.5f}).scale() == 0.5);
  CHECK(norm(gradient, 16, 256.0, {.clip = 4.0}).scale() == 0.25);
  CHECK(std::isnan(norm(Tensor::filled({3}, INFINITY), 0, {}, {.clip = 1.0}).scale()));
}

}  // namespace ovid::kernels
