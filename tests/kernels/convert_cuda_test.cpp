#include "kernels/convert/convert.h"
#include "kernels/convert/convert_reference.h"
#include "tests/catch.h"
#include "tests/kernels/convert_cases.h"
#include "tests/kernels/cuda_checks.h"

namespace ovid::kernels {

using namespace ovid::kernels::test;

namespace {

Tensor converted(const Tensor& in, DType dtype,
                 const std::optional<RandomStream>& rounding = std::nullopt) {
  Tensor out(dtype, in.shape());
  CudaRun run;
  const ConstView x = run.input(in);
  const View y = run.output(out);
  run.op([&](ExecutionContext& ctx) { convert(ctx, {.in = x, .out = y, .rounding = rounding}); });
  run.finish();
  return out;
}

Tensor converted_on_cpu(const Tensor& in, DType dtype,
                        const std::optional<RandomStream>& rounding) {
  Tensor out(dtype, in.shape());
  run_op(1, [&](ExecutionContext& ctx) {
    convert(ctx, {.in = in, .out = out, .rounding = rounding});
  });
  return out;
}

}  // namespace

TEST_CASE("conversion on CUDA rounds to nearest even as the reference does", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  const Tensor in = varied_floats(4000);
  check_rounding(in, converted(in, DType::kBfloat16), reference::kBfloat16Format);
  check_rounding(in, converted(in, DType::kFloat16), reference::kFloat16Format);
}

TEST_CASE("every 16-bit number survives the way to float32 and back on CUDA", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for (const DType dtype : {DType::kBfloat16, DType::kFloat16}) {
    const Tensor in = every_pattern(dtype);
    const Tensor wide = converted(in, DType::kFloat32);
    check_close("widened", wide, in.values(), 0.0);
    check_close("narrowed again", converted(wide, dtype), in.values(), 0.0);
    CHECK(converted(in, dtype).same_bits(in));
  }
  const Tensor halves = every_pattern(DType::kFloat16), brains = every_pattern(DType::kBfloat16);
  check_rounding(halves, converted(halves, DType::kBfloat16), reference::kBfloat16Format);
  check_rounding(brains, converted(brains, DType::kFloat16), reference::kFloat16Format);
}

TEST_CASE("conversion on CUDA does every count of elements from every place", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for (const std::int64_t count : {1, 3, 4, 5, 1023, 4096, 4097}) {
    const Tensor in = Tensor::random({count}, 3);
    check_close("count", converted(in, DType::kBfloat16), in.values(), 0x1p-8);
  }
  const RandomStream stream{.seed = 5, .use = RandomUse::kRounding};
  const Tensor in = Tensor::random({101}, 4);
  Tensor out(DType::kBfloat16, {100}), on_cpu(DType::kBfloat16, {100});
  {
    CudaRun run;
    const ConstView x = run.input(in);
    const ConstView second(x.data<float>() + 1, DType::kFloat32, {100});
    const View y = run.output(out);
    run.op(
        [&](ExecutionContext& ctx) { convert(ctx, {.in = second, .out = y, .rounding = stream}); });
    run.finish();
  }
  run_op(1, [&](ExecutionContext& ctx) {
    const ConstView second(in.data<float>() + 1, DType::kFloat32, {100});
    convert(ctx, {.in = second, .out = on_cpu, .rounding = stream});
  });
  CHECK(out.same_bits(on_cpu));
}

TEST_CASE("stochastic rounding has the same bits on CUDA and on the CPU", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  const RandomStream stream{.seed = 7, .use = RandomUse::kRounding, .major = 3, .minor = 1};
  const Tensor in = varied_floats(1000);
  for (const DType dtype : {DType::kBfloat16, DType::kFloat16}) {
    const Tensor out = converted(in, dtype, stream);
    CHECK(out.same_bits(converted_on_cpu(in, dtype, stream)));
    CHECK_FALSE(out.same_bits(converted_on_cpu(in, dtype, std::nullopt)));
  }
  // NaN stays NaN on both, of other bits.
  const Tensor halves = every_pattern(DType::kFloat16);
  check_close("float16 to bfloat16", converted(halves, DType::kBfloat16, stream),
              converted_on_cpu(halves, DType::kBfloat16, stream).values(), 0.0);
}

TEST_CASE("conversion on CUDA multiplies in float32 before it rounds", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for (const std::int64_t n : {1, 1023, 3001}) {
    for_each_precision([n](DType dtype) {
      const Tensor in = Tensor::random({n}, 5);
      Tensor expected(dtype, {n}), out(dtype, {n});
      run_op(1, [&](ExecutionContext& ctx) {
        convert(ctx, {.in = in, .out = expected, .scale = 1.7f});
      });
      CudaRun run;
      const ConstView from = run.input(in);
      const View to = run.output(out);
      run.op([&](ExecutionContext& ctx) { convert(ctx, {.in = from, .out = to, .scale = 1.7f}); });
      run.finish();
      CHECK(out.values() == expected.values());
    });
  }
}

TEST_CASE("set_zero on CUDA clears every byte and no other", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for (const DType dtype : {DType::kFloat32, DType::kUint16, DType::kUint8}) {
    Tensor tensor(dtype, {3, 701});
    CudaRun run;
    const View out = run.output(tensor);
    run.op([&](ExecutionContext& ctx) { set_zero(ctx, {.out = out}); });
    run.finish();
    CHECK(tensor.same_bits(Tensor::zeros(dtype, {3, 701})));
  }
}

}  // namespace ovid::kernels
