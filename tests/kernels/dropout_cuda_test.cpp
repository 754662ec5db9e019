#include "kernels/dropout/dropout.h"
#include "kernels/dropout/dropout_reference.h"
#include "tests/catch.h"
#include "tests/kernels/cuda_checks.h"

namespace ovid::kernels {

using namespace ovid::kernels::test;

namespace {

DropoutMask mask_of(float probability) {
  return {.probability = probability, .stream = {.seed = 1337, .major = 4, .minor = 9}};
}

struct Results {
  Tensor out, d_in;
};

// Forward and backward on the same operand; the backward pass in place.
Results dropped(const Tensor& in, const DropoutMask& mask) {
  Results r{{in.dtype(), in.shape()}, Tensor(in)};
  CudaRun run;
  const ConstView x = run.input(in);
  const View y = run.output(r.out), d = run.output(r.d_in);
  run.op([&](ExecutionContext& ctx) {
    dropout_forward(ctx, {.in = x, .out = y, .mask = mask});
    dropout_backward(ctx, {.d_out = d, .d_in = d, .mask = mask});
  });
  run.finish();
  return r;
}

}  // namespace

TEST_CASE("dropout on CUDA draws the reference's mask in every precision", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for_each_precision([](DType dtype) {
    for (const std::int64_t C : {1, 3, 4, 5, 8, 63, 768}) {
      for (const float probability : {0.0f, 0.1f, 0.99f}) {
        INFO("C = " << C << ", probability " << probability);
        const DropoutMask mask = mask_of(probability);
        const Tensor in = rounded_to(dtype, Tensor::random({3, C}, 6));
        std::vector<double> expected = in.values();
        reference::dropout_forward(expected.data(), expected.data(), 3 * C, mask);
        const Results r = dropped(in, mask);
        check_close("dropout", r.out, expected, cuda_tolerance(dtype, 1));
        CHECK(r.d_in.same_bits(r.out));  // the map is its own adjoint: the same mask again
      }
    }
  });
}

TEST_CASE("dropout on CUDA has the CPU's bits, wherever the operand begins", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  const DropoutMask mask = mask_of(0.3f);
  const Tensor in = Tensor::random({1, 1001}, 8);
  Tensor on_cpu(DType::kFloat32, in.shape());
  run_op(1, [&](ExecutionContext& ctx) {
    dropout_forward(ctx, {.in = in, .out = on_cpu, .mask = mask});
  });
  CHECK(dropped(in, mask).out.same_bits(on_cpu));
  Tensor behind(DType::kFloat32, {1, 1000}), expected(DType::kFloat32, {1, 1000});
  {
    CudaRun run;
    const ConstView x = run.input(in);
    const ConstView second(x.data<float>() + 1, DType::kFloat32, {1, 1000});
    const View y = run.output(behind);
    run.op([&](ExecutionContext& ctx) {
      dropout_forward(ctx, {.in = second, .out = y, .mask = mask});
    });
    run.finish();
  }
  run_op(1, [&](ExecutionContext& ctx) {
    const ConstView second(in.data<float>() + 1, DType::kFloat32, {1, 1000});
    dropout_forward(ctx, {.in = second, .out = expected, .mask = mask});
  });
  CHECK(behind.same_bits(expected));
}

}  // namespace ovid::kernels
