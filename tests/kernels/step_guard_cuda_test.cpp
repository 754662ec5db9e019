#include "kernels/step_guard/step_guard.h"
#include "tests/catch.h"
#include "tests/kernels/cuda_checks.h"
#include "tests/kernels/step_guard_cases.h"

namespace ovid::kernels {

using namespace ovid::kernels::test;

namespace {

void judge_on_cpu(GuardTensors& guard, const GuardInputs& in) {
  run_op(1, [&](ExecutionContext& ctx) {
    step_guard(ctx, {.losses = in.losses,
                     .targets = in.targets,
                     .sum_of_squares = in.sum_of_squares,
                     .unscale = in.unscale,
                     .outlier_z = kGuardZ,
                     .windows = guard.windows,
                     .places = guard.places,
                     .clip_scale = guard.clip_scale,
                     .verdict = guard.verdict});
  });
}

void judge_on_cuda(GuardTensors& guard, const GuardInputs& in) {
  CudaRun run;
  const ConstView losses = run.input(in.losses), sum = run.input(in.sum_of_squares);
  const View windows = run.output(guard.windows), places = run.output(guard.places),
             scale = run.output(guard.clip_scale), verdict = run.output(guard.verdict);
  run.op([&](ExecutionContext& ctx) {
    step_guard(ctx, {.losses = losses,
                     .targets = in.targets,
                     .sum_of_squares = sum,
                     .unscale = in.unscale,
                     .outlier_z = kGuardZ,
                     .windows = windows,
                     .places = places,
                     .clip_scale = scale,
                     .verdict = verdict});
  });
  run.finish();
}

}  // namespace

TEST_CASE("the guard on CUDA comes to the CPU's bits, step after step", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  GuardTensors cpu, cuda;
  std::uint64_t number = 0;
  for (const GuardStep& step : guard_steps()) {
    const GuardInputs in = guard_inputs(step, 50, number++);
    judge_on_cpu(cpu, in);
    judge_on_cuda(cuda, in);
    INFO("step " << number);
    CHECK(cuda.windows.same_bits(cpu.windows));
    CHECK(cuda.places.same_bits(cpu.places));
    CHECK(std::isnan(*cuda.clip_scale.data<float>()) == std::isnan(*cpu.clip_scale.data<float>()));
    for (const Verdict which :
         {Verdict::kLossIsOutlier, Verdict::kNormIsOutlier, Verdict::kUpdateIsLeftOut}) {
      CHECK(cuda.number(which) == cpu.number(which));
    }
    cpu.clip_scale = Tensor::filled({}, 0.5f);
    cuda.clip_scale = Tensor::filled({}, 0.5f);
  }
}

TEST_CASE("losses of any number are added on CUDA in the CPU's order", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for (const std::int64_t count : {1, 2, 255, 2047, 2048, 2049, 4096, 5003}) {
    INFO("count " << count);
    const GuardInputs in = guard_inputs({}, count, 3);
    GuardTensors cpu, cuda;
    judge_on_cpu(cpu, in);
    judge_on_cuda(cuda, in);
    CHECK(cuda.verdict.same_bits(cpu.verdict));
  }
}

}  // namespace ovid::kernels
