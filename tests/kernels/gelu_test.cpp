#include "kernels/gelu/gelu.h"

#include <cmath>
#include <limits>

#include "kernels/common/errors.h"
#include "kernels/gelu/gelu_reference.h"
#include "tests/catch.h"
#include "tests/kernels/op_checks.h"

namespace ovid::kernels {

using namespace ovid::kernels::test;

namespace {

using Doubles = std::vector<double>;

Doubles reference_forward(const Doubles& in) {
  Doubles out(in.size());
  reference::gelu_forward(in.data(), out.data(), static_cast<std::int64_t>(in.size()));
  return out;
}

Doubles reference_backward(const Doubles& d_out, const Doubles& in) {
  Doubles d_in(in.size());
  reference::gelu_backward(d_out.data(), in.data(), d_in.data(),
                           static_cast<std::int64_t>(in.size()));
  return d_in;
}

Tensor forward(const Tensor& in, int threads = 2) {
  Tensor out(DType::kFloat32, in.shape());
  run_op(threads, [&](ExecutionContext& ctx) { gelu_forward(ctx, {.in = in, .out = out}); });
  return out;
}

Tensor backward(const Tensor& d_out, const Tensor& in, int threads = 2) {
  Tensor d_in(DType::kFloat32, in.shape());
  run_op(threads, [&](ExecutionContext& ctx) {
    gelu_backward(ctx, {.d_out = d_out, .in = in, .d_in = d_in});
  });
  return d_in;
}

}  // namespace

TEST_CASE("gelu's reference gradient matches finite differences", "[kernels]") {
  const Doubles in = random_doubles(40, 1, 4.0), d_out = random_doubles(40, 2);
  check_gradient(
      "gelu", [&](const Doubles& x) { return dot(reference_forward(x), d_out); }, in,
      reference_backward(d_out, in));
}

TEST_CASE("gelu agrees with its reference at every length around a vector", "[kernels][cpu]") {
  for_each_instruction_set([] {
    for (const std::int64_t columns : {1, 7, 8, 9, 15, 16, 17, 40}) {
      const Shape shape{3, columns};
      const Tensor in = Tensor::random(shape, 3, 4.0), d_out = Tensor::random(shape, 4);
      check_close("gelu_forward", forward(in), reference_forward(in.values()),
                  tolerance(DType::kFloat32, 1));
      check_close("gelu_backward", backward(d_out, in),
                  reference_backward(d_out.values(), in.values()), tolerance(DType::kFloat32, 1));
    }
  });
}

TEST_CASE("gelu agrees with its reference over several pieces", "[kernels][cpu]") {
  const Shape shape{13, 3072};
  const Tensor in = Tensor::random(shape, 5, 6.0), d_out = Tensor::random(shape, 6);
  check_close("gelu_forward", forward(in), reference_forward(in.values()),
              tolerance(DType::kFloat32, 1));
  check_close("gelu_backward", backward(d_out, in), reference_backward(d_out.values(), in.values()),
              tolerance(DType::kFloat32, 1));
}

TEST_CASE("gelu far from zero is u or 0, its gradient 1 or 0, and a NaN stays one",
          "[kernels][cpu]") {
  constexpr float kLargest = std::numeric_limits<float>::max();
  const std::vector<float> u = {9.9f,   9.99f,   10.1f,  100.0f,    1e19f, kLargest, INFINITY,
                                -10.1f, -100.0f, -1e19f, -kLargest, 0.0f,  NAN};
  const Shape shape{1, static_cast<std::int64_t>(u.size())};
  for_each_instruction_set([&] {
    const Tensor in = Tensor::of(shape, u);
    const std::vector<double> out = forward(in).values();
    const std::vector<double> gradient = backward(Tensor::filled(shape, 1.0f), in).values();
    for (std::size_t i = 0; i < u.size(); ++i) {
      CAPTURE(u[i]);
      if (std::isnan(u[i])) {
        CHECK(std::isnan(out[i]));
        CHECK(std::isnan(gradient[i]));
      } else {
        CHECK(out[i] == std::max(u[i], 0.0f));
        CHECK(std::abs(gradient[i] - (u[i] > 0 ? 1.0 : u[i] < 0 ? 0.0 : 0.5)) < 1e-30);
      }
    }
  });
}

TEST_CASE("gelu may work in place", "[kernels][cpu]") {
  const Shape shape{5, 100};
  const Tensor in = Tensor::random(shape, 7, 3.0), d_out = Tensor::random(shape, 8);
  Tensor out(in), d_in(d_out);
  run_op(2, [&](ExecutionContext& ctx) { gelu_forward(ctx, {.in = out, .out = out}); });
  run_op(2, [&](ExecutionContext& ctx) {
    gelu_backward(ctx, {.d_out = d_in, .in = in, .d_in = d_in});
  });
  CHECK(out.same_bits(forward(in)));
  CHECK(d_in.same_bits(backward(d_out, in)));
}

TEST_CASE("gelu has equal bits on every number of threads", "[kernels][cpu]") {
  const Tensor in = Tensor::random({50, 1000}, 9, 3.0), d_out = Tensor::random({50, 1000}, 10);
  check_same_bits_on_threads("gelu", [&](int threads) {
    std::vector<Tensor> results;
    results.push_back(forward(in, threads));
    results.push_back(backward(d_out, in, threads));
    return results;
  });
}

TEST_CASE("gelu names the operand that does not fit", "[kernels]") {
  const Tensor in = Tensor::zeros(DType::kFloat32, {2, 3});
  Tensor wide = Tensor::zeros(DType::kFloat32, {2, 4}),
         halves = Tensor::zeros(DType::kBfloat16, {2, 3});
  Tensor strided = in.padded(5);
  const auto message = [&](View out) {
    return shape_error_of(
        [&](ExecutionContext& ctx) { gelu_forward(ctx, {.in = in, .out = out}); });
  };
  CHECK(message(wide) == "gelu_forward: out is float32 (2, 4), expected float32 (2, 3)");
  CHECK(message(halves) == "gelu_forward: out is bfloat16 (2, 3), expected float32 (2, 3)");
  CHECK(message(strided).find("out") != std::string::npos);
  CHECK_THROWS_AS(backward(wide, in), ShapeError);
}

TEST_CASE("an op on a device that the build lacks says so", "[kernels]") {
  ScratchArena arena;
  ExecutionContext ctx(DeviceKind::kCuda, 1, arena);
  Tensor in = Tensor::zeros(DType::kFloat32, {2, 3});
  CHECK_THROWS_AS(gelu_forward(ctx, {.in = in, .out = in}), DeviceError);
}

}  // namespace ovid::kernels
