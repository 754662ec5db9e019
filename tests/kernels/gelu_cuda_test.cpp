#include <limits>

#include "kernels/gelu/gelu.h"
#include "kernels/gelu/gelu_reference.h"
#include "tests/catch.h"
#include "tests/kernels/cuda_checks.h"

namespace ovid::kernels {

using namespace ovid::kernels::test;

namespace {

using Doubles = std::vector<double>;

Tensor forward(const Tensor& in) {
  Tensor out(in.dtype(), in.shape());
  CudaRun run;
  const ConstView x = run.input(in);
  const View y = run.output(out);
  run.op([&](ExecutionContext& ctx) { gelu_forward(ctx, {.in = x, .out = y}); });
  run.finish();
  return out;
}

Tensor backward(const Tensor& d_out, const Tensor& in) {
  Tensor d_in(in.dtype(), in.shape());
  CudaRun run;
  const ConstView dy = run.input(d_out), x = run.input(in);
  const View dx = run.output(d_in);
  run.op([&](ExecutionContext& ctx) { gelu_backward(ctx, {.d_out = dy, .in = x, .d_in = dx}); });
  run.finish();
  return d_in;
}

// One exponential of 2 + |x| units of 2^-23 and a quotient of 2, |x| up to 16 where the result is
// still a part of the root mean square: 40 units.
double gelu_tolerance(DType dtype) {
  return cuda_tolerance(dtype, 1) + 40 * 0x1p-23;
}

}  // namespace

TEST_CASE("gelu on CUDA agrees with its reference in every precision", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for_each_precision([](DType dtype) {
    for (const Shape shape : {Shape{1, 1}, Shape{3, 7}, Shape{3, 17}, Shape{5, 3072}}) {
      INFO("shape " << shape.text());
      const Tensor in = rounded_to(dtype, Tensor::random(shape, 3, 5.0));
      const Tensor d_out = rounded_to(dtype, Tensor::random(shape, 4));
      const Doubles u = in.values(), d = d_out.values();
      Doubles out(u.size()), d_in(u.size());
      const auto count = static_cast<std::int64_t>(u.size());
      reference::gelu_forward(u.data(), out.data(), count);
      reference::gelu_backward(d.data(), u.data(), d_in.data(), count);
      check_close("gelu_forward", forward(in), out, gelu_tolerance(dtype));
      check_close("gelu_backward", backward(d_out, in), d_in, gelu_tolerance(dtype));
    }
  });
}

TEST_CASE("gelu on CUDA far from zero is u or 0, and a NaN stays one", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  constexpr float kLargest = std::numeric_limits<float>::max();
  const std::vector<float> u = {10.1f,  100.0f,    kLargest,  INFINITY,
                                -10.1f, -kLargest, -INFINITY, NAN};
  const Shape shape{1, 8};
  const Tensor ones = Tensor::filled(shape, 1.0f);
  check_close("gelu_forward", forward(Tensor::of(shape, u)),
              {10.1f, 100.0f, kLargest, INFINITY, 0, 0, 0, NAN}, 0x1p-20);
  check_close("gelu_backward", backward(ones, Tensor::of(shape, u)), {1, 1, 1, 1, 0, 0, 0, NAN},
              0x1p-20);
}

}  // namespace ovid::kernels
