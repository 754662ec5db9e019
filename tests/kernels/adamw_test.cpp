#include "kernels/adamw/adamw.h"

#include <cmath>

#include "kernels/adamw/adamw_reference.h"
#include "tests/catch.h"
#include "tests/kernels/op_checks.h"

namespace ovid::kernels::test {

namespace {

struct State {
  Tensor weight;
  Tensor gradient;
  Tensor first_moment;
  Tensor second_moment;
};

State random_state(std::int64_t count) {
  return {.weight = Tensor::random({count}, 1, 0.1),
          .gradient = Tensor::random({count}, 2, 0.01),
          .first_moment = Tensor::random({count}, 3, 0.01),
          .second_moment = Tensor::random({count}, 4, 4e-5, 5e-5)};
}

AdamW operands(State& state, std::int64_t step) {
  return {.weight = state.weight,
          .gradient = state.gradient.view(),
          .first_moment = state.first_moment,
          .second_moment = state.second_moment,
          .gradient_scale = 0.5f,
          .learning_rate = 1e-3,
          .beta1 = 0.9,
          .beta2 = 0.95,
          .epsilon = 1e-8,
          .weight_decay = 0.1,
          .step = step};
}

State updated(std::int64_t count, std::int64_t step, int threads) {
  State state = random_state(count);
  run_op(threads, [&](ExecutionContext& ctx) { adamw_update(ctx, operands(state, step)); });
  return state;
}

}  // namespace

TEST_CASE("the AdamW reference takes a first step of the learning rate against the gradient",
          "[kernels]") {
  // By hand: m / (1 - beta1) = g and sqrt(v / (1 - beta2)) = |g|.
  std::vector<double> weight{1.0, -2.0}, gradient{0.3, -0.001}, m(2, 0.0), v(2, 0.0);
  reference::adamw_update(weight.data(), gradient.data(), m.data(), v.data(), 2,
                          {.learning_rate = 0.1,
                           .beta1 = 0.9,
                           .beta2 = 0.999,
                           .epsilon = 0.0,
                           .weight_decay = 0.5,
                           .step = 1});
  CHECK(weight[0] == Approx(1.0 * 0.95 - 0.1).epsilon(1e-12));
  CHECK(weight[1] == Approx(-2.0 * 0.95 + 0.1).epsilon(1e-12));
  CHECK(m[0] == Approx(0.03));
  CHECK(v[0] == Approx(0.001 * 0.09));
}

TEST_CASE("AdamW matches the reference", "[kernels][cpu]") {
  for_each_instruction_set([] {
    for (const std::int64_t count : {1, 7, 8, 9, 15, 16, 17, 1000, 16383, 16385}) {
      for (const std::int64_t step : {1, 2, 100000}) {
        INFO("count " << count << ", step " << step);
        const State before = random_state(count);
        std::vector<double> weight = before.weight.values();
        std::vector<double> m = before.first_moment.values();
        std::vector<double> v = before.second_moment.values();
        reference::adamw_update(weight.data(), before.gradient.values().data(), m.data(), v.data(),
                                count,
                                {.gradient_scale = 0.5,
                                 .learning_rate = 1e-3,
                                 .beta1 = 0.9,
                                 .beta2 = 0.95,
                                 .epsilon = 1e-8,
                                 .weight_decay = 0.1,
                                 .step = step});
        const State after = updated(count, step, 2);
        // A dozen roundings and the factors' own.
        const double relative = 2 * tolerance(DType::kFloat32, 1);
        check_close("weight", after.weight, weight, relative);
        check_close("first_moment", after.first_moment, m, relative);
        check_close("second_moment", after.second_moment, v, relative);
        CHECK(after.gradient.same_bits(before.gradient));
      }
    }
  });
}

TEST_CASE("AdamW leaves weights finite where the gradient has always been zero", "[kernels][cpu]") {
  State state = random_state(33);
  for (Tensor* zero : {&state.gradient, &state.first_moment, &state.second_moment}) {
    *zero = Tensor::zeros(DType::kFloat32, {33});
  }
  AdamW op = operands(state, 1);
  op.weight_decay = 0.0;
  const Tensor before = state.weight;
  run_op(1, [&](ExecutionContext& ctx) { adamw_update(ctx, op); });
  CHECK(state.weight.same_bits(before));
}

TEST_CASE("AdamW has equal bits on every number of threads", "[kernels][cpu]") {
  check_same_bits_on_threads("adamw_update", [](int threads) {
    State state = updated(70001, 3, threads);
    return std::vector<Tensor>{state.weight, state.first_moment, state.second_moment};
  });
}

TEST_CASE("AdamW gives each element the bits that it has alone", "[kernels][cpu]") {
  for_each_instruction_set([] {
    // The sharded optimizer cuts parameters anywhere.
    const State whole = updated(37, 5, 1);
    State part = random_state(37);
    const auto tail = [](Tensor& t) { return View(t.data<float>() + 5, DType::kFloat32, {32}); };
    AdamW op = operands(part, 5);
    op.weight = tail(part.weight);
    op.gradient = tail(part.gradient);
    op.first_moment = tail(part.first_moment);
    op.second_moment = tail(part.second_moment);
    run_op(1, [&](ExecutionContext& ctx) { adamw_update(ctx, op); });
    for (std::int64_t i = 5; i < 37; ++i) {
      REQUIRE(part.weight.data<float>()[i] == whole.weight.data<float>()[i]);
    }
  });
}

TEST_CASE("AdamW refuses operands that do not fit", "[kernels]") {
  ScratchArena arena;
  ExecutionContext ctx = ExecutionContext::dry_run(DeviceKind::kCpu, 1, arena);
  State state = random_state(4);
  CHECK_THROWS_WITH(adamw_update(ctx, operands(state, 0)),
                    "adamw_update: step is 0, expected 1 or more");
  state.second_moment = Tensor(DType::kFloat32, {5});
  CHECK_THROWS_WITH(adamw_update(ctx, operands(state, 1)),
                    "adamw_update: second_moment is float32 (5), expected float32 (4)");
}

}  // namespace ovid::kernels::test
