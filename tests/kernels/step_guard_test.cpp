#include "kernels/step_guard/step_guard.h"

#include <cmath>

#include "tests/catch.h"
#include "tests/kernels/step_guard_cases.h"

namespace ovid::kernels::test {

namespace {

void judge(GuardTensors& guard, const GuardInputs& in) {
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

}  // namespace

TEST_CASE("the guard of a step follows its reference", "[kernels][cpu]") {
  GuardTensors guard;
  ReferenceGuard reference;
  std::uint64_t number = 0;
  int left_out = 0;
  for (const GuardStep& step : guard_steps()) {
    const GuardInputs in = guard_inputs(step, 50, number++);
    const bool expected = reference.step(in);
    guard.clip_scale = Tensor::filled({}, 0.5f);
    judge(guard, in);
    INFO("step " << number);
    CHECK((guard.number(Verdict::kUpdateIsLeftOut) == 1.0) == expected);
    CHECK(std::isnan(*guard.clip_scale.data<float>()) == expected);
    if (!expected) CHECK(*guard.clip_scale.data<float>() == 0.5f);
    // The reference divides before it adds: a rounding or two for each value of the window, in the
    // mean and in each of the z deviations above it.
    const double few = 2 * (1 + kGuardZ) * static_cast<double>(kGuardWindow) * 0x1p-53;
    check_close("losses", vector_tensor(window_of(guard, 0)), reference.losses.values, few);
    check_close("norms", vector_tensor(window_of(guard, 1)), reference.norms.values, few);
    left_out += expected ? 1 : 0;
  }
  // Five of the odd steps, and the first ones of the rise, which ends well before its twelve.
  CHECK(left_out > 5);
  CHECK(left_out < 5 + 12);
  CHECK(guard.number(Verdict::kUpdateIsLeftOut) == 0.0);
}

TEST_CASE("a guard without outliers leaves out what is not finite alone", "[kernels][cpu]") {
  GuardTensors guard;
  for (const double loss : {2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1e30}) {
    const GuardInputs in = guard_inputs({.loss = loss}, 3, 1);
    run_op(1, [&](ExecutionContext& ctx) {
      step_guard(ctx, {.losses = in.losses,
                       .targets = in.targets,
                       .sum_of_squares = in.sum_of_squares,
                       .outlier_z = 0.0,
                       .windows = guard.windows,
                       .places = guard.places,
                       .clip_scale = guard.clip_scale,
                       .verdict = guard.verdict});
    });
    CHECK(guard.number(Verdict::kUpdateIsLeftOut) == 0.0);
  }
}

TEST_CASE("a step without targets has the loss 0, and damaged places count as empty",
          "[kernels][cpu]") {
  GuardTensors guard;
  guard.places.data<std::int32_t>()[0] = 1000;
  guard.places.data<std::int32_t>()[1] = -3;
  GuardInputs in = guard_inputs({}, 5, 1);
  in.targets = 0;
  judge(guard, in);
  CHECK(guard.number(Verdict::kLoss) == 0.0);
  CHECK(guard.number(Verdict::kUpdateIsLeftOut) == 0.0);
  CHECK(guard.places.data<std::int32_t>()[0] == 1);
  CHECK(guard.places.data<std::int32_t>()[1] == 0);
}

TEST_CASE("step_guard refuses operands that do not fit", "[kernels]") {
  GuardTensors guard;
  GuardInputs in = guard_inputs({}, 5, 1);
  in.targets = 6;
  CHECK(shape_error_of([&](ExecutionContext& ctx) {
          step_guard(ctx, {.losses = in.losses,
                           .targets = in.targets,
                           .sum_of_squares = in.sum_of_squares,
                           .outlier_z = kGuardZ,
                           .windows = guard.windows,
                           .places = guard.places,
                           .clip_scale = guard.clip_scale,
                           .verdict = guard.verdict});
        }) == "step_guard: targets is 6, expected 0 to 5");
  CHECK(shape_error_of([&](ExecutionContext& ctx) {
          step_guard(ctx, {.losses = in.losses,
                           .targets = 1,
                           .sum_of_squares = in.sum_of_squares,
                           .outlier_z = kGuardZ,
                           .windows = guard.verdict,
                           .places = guard.places,
                           .clip_scale = guard.clip_scale,
                           .verdict = guard.verdict});
        }) == "step_guard: windows is float64 (5), expected float64 (2, 5)");
}

}  // namespace ovid::kernels::test
