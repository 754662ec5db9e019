#include "kernels/adamw/adamw.h"

#include <cmath>

#include "kernels/adamw/adamw_reference.h"
#include "kernels/convert/convert.h"
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

AdamWTensor tensor_of(State& state) {
  return {.weight = state.weight,
          .gradient = state.gradient.view(),
          .first_moment = state.first_moment,
          .second_moment = state.second_moment,
          .weight_decay = 0.1};
}

AdamW operands(std::span<const AdamWTensor> tensors, std::int64_t step) {
  return {.tensors = tensors,
          .gradient_scale = 0.5f,
          .learning_rate = 1e-3,
          .beta1 = 0.9,
          .beta2 = 0.95,
          .epsilon = 1e-8,
          .step = step};
}

State updated(std::int64_t count, std::int64_t step, int threads) {
  State state = random_state(count);
  const AdamWTensor tensor = tensor_of(state);
  run_op(threads, [&](ExecutionContext& ctx) { adamw_update(ctx, operands({&tensor, 1}, step)); });
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
  AdamWTensor tensor = tensor_of(state);
  tensor.weight_decay = 0.0;
  const Tensor before = state.weight;
  run_op(1, [&](ExecutionContext& ctx) { adamw_update(ctx, operands({&tensor, 1}, 1)); });
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
    const AdamWTensor tensor{.weight = tail(part.weight),
                             .gradient = tail(part.gradient),
                             .first_moment = tail(part.first_moment),
                             .second_moment = tail(part.second_moment),
                             .weight_decay = 0.1};
    run_op(1, [&](ExecutionContext& ctx) { adamw_update(ctx, operands({&tensor, 1}, 5)); });
    for (std::int64_t i = 5; i < 37; ++i) {
      REQUIRE(part.weight.data<float>()[i] == whole.weight.data<float>()[i]);
    }
  });
}

TEST_CASE("AdamW updates each of many tensors as it would alone", "[kernels][cpu]") {
  State first = random_state(37), second = random_state(1000);
  const std::vector<AdamWTensor> tensors{tensor_of(first), tensor_of(second)};
  run_op(2, [&](ExecutionContext& ctx) { adamw_update(ctx, operands(tensors, 4)); });
  CHECK(first.weight.same_bits(updated(37, 4, 1).weight));
  CHECK(second.weight.same_bits(updated(1000, 4, 1).weight));
}

TEST_CASE("AdamW's copy of the weights is rounded to nearest, ties to even", "[kernels][cpu]") {
  for (const DType dtype : {DType::kBfloat16, DType::kFloat16}) {
    INFO(name_of(dtype));
    // Ties of both formats, numbers between, denormals of float16, and what overflows it.
    std::vector<float> weights{1.0f,        0x1.01p0f,   0x1.03p0f,  0x1.002p0f,  0x1.006p0f,
                               -0x1.03p0f,  0x1p-24f,    0x1.8p-24f, 0x1p-25f,    0x1.000002p-25f,
                               0x1p-26f,    -0x1.4p-15f, 0x1p-60f,   0x1p-140f,   0.0f,
                               -0.0f,       65504.0f,    65519.996f, 65520.0f,    1e30f,
                               0x1.fep127f, 0x1.ffp127f, INFINITY,   0x1.ffcp-15f};
    for (int i = 0; i < 4000; ++i)
      weights.push_back(std::ldexp(1.0f + 0.37f * float(i), -30 + i % 40));
    const auto n = static_cast<std::int64_t>(weights.size());
    State state = random_state(n);
    state.weight = Tensor::of(Shape{n}, weights);
    Tensor rounded(dtype, {n}), expected(dtype, {n});
    AdamWTensor tensor = tensor_of(state);
    tensor.rounded = rounded;
    AdamW op = operands({&tensor, 1}, 1);
    op.learning_rate = 0.0;
    run_op(2, [&](ExecutionContext& ctx) {
      adamw_update(ctx, op);
      convert(ctx, {.in = state.weight, .out = expected});
    });
    CHECK(rounded.same_bits(expected));
  }
}

TEST_CASE("AdamW's copy of the weights is, rounded at random, the weight on average",
          "[kernels][cpu]") {
  constexpr std::int64_t kCount = 40000;
  // A quarter of the way between neighbours: 3 of 4 go down, and 40,000 draws vary by 0.0022.
  State state = random_state(kCount);
  state.weight = Tensor::filled({kCount}, 1.0f + 0.25f * 0x1p-7f);
  Tensor rounded(DType::kBfloat16, {kCount});
  AdamWTensor tensor = tensor_of(state);
  tensor.rounded = rounded;
  AdamW op = operands({&tensor, 1}, 1);
  op.learning_rate = 0.0;
  op.rounding = RandomStream{.seed = 5, .use = RandomUse::kRounding, .major = 1};
  run_op(2, [&](ExecutionContext& ctx) { adamw_update(ctx, op); });
  double up = 0;
  for (const double value : rounded.values()) {
    CHECK((value == 1.0 || value == 1.0 + 0x1p-7));
    up += value > 1.0 ? 1 : 0;
  }
  CHECK(up / kCount == Approx(0.25).margin(5 * 0.0022));

  // Parts of the tensor draw what the whole does, and another step draws other numbers.
  Tensor parts(DType::kBfloat16, {kCount});
  for (const auto& [begin, end] : {std::pair{0, 4099}, {4099, 4101}, {4101, 40000}}) {
    const auto part = [b = begin, n = end - begin](const ConstView& v) {
      return View(v.raw() == nullptr ? nullptr
                                     : const_cast<char*>(static_cast<const char*>(v.raw())) +
                                           b * static_cast<std::int64_t>(bytes_of(v.dtype())),
                  v.dtype(), Shape{n});
    };
    AdamWTensor piece{.weight = part(state.weight),
                      .gradient = part(state.gradient),
                      .first_moment = part(state.first_moment),
                      .second_moment = part(state.second_moment),
                      .rounded = part(parts),
                      .weight_decay = 0.0,
                      .first_index = static_cast<std::uint64_t>(begin)};
    op.tensors = {&piece, 1};
    run_op(2, [&](ExecutionContext& ctx) { adamw_update(ctx, op); });
  }
  CHECK(parts.same_bits(rounded));
  op.tensors = {&tensor, 1};
  op.rounding->major = 2;
  run_op(2, [&](ExecutionContext& ctx) { adamw_update(ctx, op); });
  CHECK_FALSE(parts.same_bits(rounded));
}

TEST_CASE("AdamW multiplies by both scales, and skips the step where they are not finite",
          "[kernels][cpu]") {
  State state = random_state(40), same = random_state(40);
  const AdamWTensor tensor = tensor_of(state), other = tensor_of(same);
  Tensor scale = Tensor::of(Shape{}, std::vector<float>{0.5f});
  AdamW op = operands({&tensor, 1}, 1);
  op.gradient_scale = 1.0f;
  op.gradient_scale_on_device = scale;
  run_op(1, [&](ExecutionContext& ctx) {
    adamw_update(ctx, op);
    adamw_update(ctx, operands({&other, 1}, 1));
  });
  CHECK(state.weight.same_bits(same.weight));
  for (const float unusable : {NAN, INFINITY, -INFINITY}) {
    *scale.data<float>() = unusable;
    run_op(1, [&](ExecutionContext& ctx) { adamw_update(ctx, op); });
    CHECK(state.weight.same_bits(same.weight));
    CHECK(state.second_moment.same_bits(same.second_moment));
  }
}

TEST_CASE("AdamW refuses operands that do not fit", "[kernels]") {
  ScratchArena arena;
  ExecutionContext ctx = ExecutionContext::dry_run(DeviceKind::kCpu, 1, arena);
  State state = random_state(4);
  AdamWTensor tensor = tensor_of(state);
  CHECK_THROWS_WITH(adamw_update(ctx, operands({&tensor, 1}, 0)),
                    "adamw_update: step is 0, expected 1 or more");
  state.second_moment = Tensor(DType::kFloat32, {5});
  tensor = tensor_of(state);
  CHECK_THROWS_WITH(adamw_update(ctx, operands({&tensor, 1}, 1)),
                    "adamw_update: second_moment is float32 (5), expected float32 (4)");
  state.second_moment = Tensor(DType::kFloat32, {4});
  state.gradient = Tensor(DType::kBfloat16, {4});
  tensor = tensor_of(state);
  CHECK_THROWS_WITH(adamw_update(ctx, operands({&tensor, 1}, 1)),
                    "adamw_update: gradient is bfloat16 (4), expected float32: the CPU computes in "
                    "no other precision");
  state.gradient = Tensor(DType::kFloat32, {4});
  tensor = tensor_of(state);
  tensor.rounded = state.weight;
  CHECK_THROWS_WITH(adamw_update(ctx, operands({&tensor, 1}, 1)),
                    "adamw_update: rounded is float32 (4), expected bfloat16 or float16");
}

}  // namespace ovid::kernels::test
