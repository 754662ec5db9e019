#include <cmath>
#include <deque>
#include <optional>

#include "kernels/adamw/adamw.h"
#include "kernels/adamw/adamw_reference.h"
#include "kernels/convert/convert.h"
#include "tests/catch.h"
#include "tests/kernels/cuda_checks.h"

namespace ovid::kernels {

using namespace ovid::kernels::test;

namespace {

constexpr RandomStream kRounding{.seed = 9, .use = RandomUse::kRounding, .major = 3};
constexpr RandomStream kMomentRounding{
    .seed = 9, .use = RandomUse::kRounding, .major = 3, .minor = 1};

struct Variant {
  DType gradient = DType::kFloat32;
  std::optional<DType> rounded = std::nullopt;
  double weight_decay = 0.1;
  std::uint64_t first_index = 0;
};

struct State {
  Variant variant;
  Tensor weight, gradient, first_moment, second_moment, rounded;
};

State random_state(std::int64_t count, const Variant& variant, std::uint64_t seed = 0) {
  return {.variant = variant,
          .weight = Tensor::random({count}, seed + 1, 0.1),
          .gradient = rounded_to(variant.gradient, Tensor::random({count}, seed + 2, 0.01)),
          .first_moment = Tensor::random({count}, seed + 3, 0.01),
          .second_moment = Tensor::random({count}, seed + 4, 4e-5, 5e-5),
          .rounded = Tensor(variant.rounded.value_or(DType::kBfloat16), {count})};
}

struct Call {
  std::int64_t step = 3;
  std::optional<RandomStream> rounding = std::nullopt;
  std::optional<float> scale_on_device = std::nullopt;
  double learning_rate = 1e-3;
  std::int64_t piece = 0;  // elements of the parts that tensors are cut into; 0: whole
};

// The tensors' parts of `piece` elements, as a sharded optimizer has them.
void add_parts(std::vector<AdamWTensor>& parts, const AdamWTensor& t, std::int64_t piece) {
  const auto part = [](const ConstView& view, std::int64_t at, std::int64_t count) {
    auto* address = static_cast<std::byte*>(const_cast<void*>(view.raw())) +
                    at * static_cast<std::int64_t>(bytes_of(view.dtype()));
    return View(address, view.dtype(), Shape{count});
  };
  const std::int64_t n = t.weight.elements();
  if (piece == 0) piece = n;
  for (std::int64_t at = 0; at < n; at += piece) {
    const std::int64_t count = std::min(piece, n - at);
    parts.push_back({.weight = part(t.weight, at, count),
                     .gradient = part(t.gradient, at, count),
                     .first_moment = part(t.first_moment, at, count),
                     .second_moment = part(t.second_moment, at, count),
                     .weight_decay = t.weight_decay,
                     .first_index = t.first_index + static_cast<std::uint64_t>(at)});
    if (t.rounded) parts.back().rounded = part(*t.rounded, at, count);
  }
}

AdamW operands(std::span<const AdamWTensor> tensors, const Call& call) {
  return {.tensors = tensors,
          .gradient_scale = 0.5f,
          .learning_rate = call.learning_rate,
          .beta1 = 0.9,
          .beta2 = 0.95,
          .epsilon = 1e-8,
          .step = call.step,
          .rounding = call.rounding,
          .moment_rounding = kMomentRounding};
}

void update(std::vector<State>& states, const Call& call) {
  CudaRun run;
  std::vector<AdamWTensor> tensors;
  for (State& s : states) {
    AdamWTensor tensor{.weight = run.output(s.weight),
                       .gradient = run.input(s.gradient),
                       .first_moment = run.output(s.first_moment),
                       .second_moment = run.output(s.second_moment),
                       .weight_decay = s.variant.weight_decay,
                       .first_index = s.variant.first_index};
    if (s.variant.rounded) tensor.rounded = run.output(s.rounded);
    add_parts(tensors, tensor, call.piece);
  }
  AdamW op = operands(tensors, call);
  std::optional<Tensor> scale;
  if (call.scale_on_device) scale.emplace(Tensor::of(Shape{}, std::vector{*call.scale_on_device}));
  if (scale) op.gradient_scale_on_device = run.input(*scale);
  run.op([&](ExecutionContext& ctx) { adamw_update(ctx, op); });
  run.finish();
}

std::vector<State> updated(const std::vector<State>& states, const Call& call) {
  std::vector<State> after;
  for (const State& s : states) {
    after.push_back({s.variant, s.weight, s.gradient, s.first_moment, s.second_moment, s.rounded});
  }
  update(after, call);
  return after;
}

void check_same(const State& a, const State& b) {
  CHECK(a.weight.same_bits(b.weight));
  CHECK(a.first_moment.same_bits(b.first_moment));
  CHECK(a.second_moment.same_bits(b.second_moment));
  CHECK(a.rounded.same_bits(b.rounded));
}

void check_against_reference(const State& before, const State& after, const Call& call,
                             double gradient_scale) {
  std::vector<double> weight = before.weight.values(), m = before.first_moment.values(),
                      v = before.second_moment.values();
  reference::adamw_update(weight.data(), before.gradient.values().data(), m.data(), v.data(),
                          before.weight.shape()[0],
                          {.gradient_scale = gradient_scale,
                           .learning_rate = call.learning_rate,
                           .beta1 = 0.9,
                           .beta2 = 0.95,
                           .epsilon = 1e-8,
                           .weight_decay = before.variant.weight_decay,
                           .step = call.step});
  // As on the CPU: a dozen roundings and the factors' own.
  const double relative = 2 * tolerance(DType::kFloat32, 1);
  check_close("weight", after.weight, weight, relative);
  check_close("first_moment", after.first_moment, m, relative);
  check_close("second_moment", after.second_moment, v, relative);
}

// The CPU's copy of the weights that CUDA made: a step of learning rate 0 changes no weight.
Tensor rounded_on_cpu(const State& after, Call call) {
  State state{
      after.variant,      after.weight,        Tensor::filled(after.weight.shape(), 0.0f),
      after.first_moment, after.second_moment, Tensor(after.rounded.dtype(), after.weight.shape())};
  call.learning_rate = 0.0;
  const AdamWTensor tensor{.weight = state.weight,
                           .gradient = state.gradient.view(),
                           .first_moment = state.first_moment,
                           .second_moment = state.second_moment,
                           .rounded = state.rounded,
                           .weight_decay = 0.0,
                           .first_index = state.variant.first_index};
  run_op(1, [&](ExecutionContext& ctx) { adamw_update(ctx, operands({&tensor, 1}, call)); });
  CHECK(state.weight.same_bits(after.weight));
  return state.rounded;
}

std::vector<State> many_states() {
  std::vector<State> states;
  std::uint64_t seed = 0, index = 0;
  for (const DType gradient : {DType::kFloat32, DType::kBfloat16, DType::kFloat16}) {
    for (const std::int64_t count : {1, 3, 4, 5, 768, 2047, 2049, 4096, 5003}) {
      Variant variant{.gradient = gradient, .weight_decay = count % 2 == 0 ? 0.1 : 0.0};
      if (gradient != DType::kFloat32) variant.rounded = gradient;
      variant.first_index = index;
      states.push_back(random_state(count, variant, seed += 10));
      index += static_cast<std::uint64_t>((count + 3) / 4 * 4);
    }
  }
  return states;
}

// The same moments in another number type.
std::vector<State> with_moments(std::vector<State> states, DType dtype) {
  for (State& state : states) {
    for (Tensor* moment : {&state.first_moment, &state.second_moment}) {
      if (moment->dtype() == dtype) continue;
      Tensor converted(dtype, moment->shape());
      run_op(1, [&](ExecutionContext& ctx) { convert(ctx, {.in = *moment, .out = converted}); });
      *moment = std::move(converted);
    }
  }
  return states;
}

}  // namespace

TEST_CASE("AdamW on CUDA agrees with its reference, many tensors in one launch",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  const std::vector<State> before = many_states();
  for (const std::int64_t step : {1, 100000}) {
    for (const bool randomly : {false, true}) {
      Call call{.step = step};
      if (randomly) call.rounding = kRounding;
      INFO("step " << step << ", stochastic rounding " << randomly);
      const std::vector<State> after = updated(before, call);
      for (std::size_t i = 0; i < before.size(); ++i) {
        INFO(before[i].weight.shape().text() << " " << name_of(before[i].gradient.dtype()));
        check_against_reference(before[i], after[i], call, 0.5);
        if (before[i].variant.rounded) {
          CHECK(after[i].rounded.same_bits(rounded_on_cpu(after[i], call)));
          CHECK(after[i].rounded.surroundings_untouched());
        }
      }
    }
  }
}

TEST_CASE("AdamW on CUDA stores bfloat16 moments as the float32 ones, rounded by their own words",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for (const bool randomly : {false, true}) {
    Call call;
    if (randomly) call.rounding = kRounding;
    INFO("stochastic rounding of the weights " << randomly);
    // From moments that bfloat16 holds, once in either type.
    std::vector<State> before = with_moments(many_states(), DType::kBfloat16);
    const std::vector<State> rounded = updated(before, call);
    const std::vector<State> exact = updated(with_moments(before, DType::kFloat32), call);
    for (std::size_t i = 0; i < before.size(); ++i) {
      const std::int64_t count = before[i].weight.shape()[0];
      INFO(count << " " << name_of(before[i].gradient.dtype()));
      Tensor m(DType::kBfloat16, {count}), v(DType::kBfloat16, {count});
      reference::store_moments(
          exact[i].first_moment.data<float>(), exact[i].second_moment.data<float>(), count,
          kMomentRounding, before[i].variant.first_index,
          static_cast<std::uint16_t*>(m.view().raw()), static_cast<std::uint16_t*>(v.view().raw()));
      CHECK(rounded[i].first_moment.same_bits(m));
      CHECK(rounded[i].second_moment.same_bits(v));
      CHECK(rounded[i].weight.same_bits(exact[i].weight));
      CHECK(rounded[i].rounded.same_bits(exact[i].rounded));
      CHECK(rounded[i].first_moment.surroundings_untouched());
      CHECK(rounded[i].second_moment.surroundings_untouched());
    }
  }
}

TEST_CASE("AdamW on CUDA gives each element the bits that it has in another cut",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  const auto states = [] {
    std::vector<State> two;
    const DType half = DType::kBfloat16;
    two.push_back(random_state(5003, {.gradient = half, .rounded = half, .first_index = 6}));
    two.push_back(random_state(100, {.rounded = DType::kFloat16, .first_index = 7000}));
    return two;
  };
  for (const bool randomly : {false, true}) {
    Call call;
    if (randomly) call.rounding = kRounding;
    for (const DType moments : {DType::kFloat32, DType::kBfloat16}) {
      call.piece = 0;
      const std::vector<State> whole = updated(with_moments(states(), moments), call);
      for (const std::int64_t piece : {7, 1024, 2999}) {  // 7: more tensors than a launch takes
        INFO("stochastic rounding " << randomly << ", pieces of " << piece << ", moments "
                                    << name_of(moments));
        call.piece = piece;
        const std::vector<State> cut = updated(with_moments(states(), moments), call);
        for (std::size_t i = 0; i < whole.size(); ++i) check_same(cut[i], whole[i]);
      }
    }
  }
}

TEST_CASE("AdamW on CUDA multiplies by the scale that it finds on the device", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  std::vector<State> before;
  before.push_back(random_state(
      1000, {.gradient = DType::kFloat16, .rounded = DType::kFloat16, .weight_decay = 0.1}));
  const Call call{.scale_on_device = 0.25f};
  check_against_reference(before[0], updated(before, call)[0], call, 0.125);
  for (const float scale : {NAN, INFINITY, -INFINITY}) {
    INFO("a scale of " << scale << " skips the step");
    const Call skipped{.rounding = kRounding, .scale_on_device = scale};
    check_same(updated(before, skipped)[0], before[0]);
  }
}

TEST_CASE("AdamW on CUDA leaves weights finite where the gradient has always been zero",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  std::vector<State> before;
  before.push_back(random_state(33, {.weight_decay = 0.0}));
  State& state = before[0];
  for (Tensor* zero : {&state.gradient, &state.first_moment, &state.second_moment}) {
    *zero = Tensor::zeros(DType::kFloat32, {33});
  }
  CHECK(updated(before, {.step = 1})[0].weight.same_bits(state.weight));
}

}  // namespace ovid::kernels
