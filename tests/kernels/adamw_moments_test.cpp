#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/adamw/adamw.h"
#include "kernels/adamw/adamw_reference.h"
#include "kernels/convert/convert.h"
#include "tests/catch.h"
#include "tests/kernels/op_checks.h"

// AdamW with moments in bfloat16.
namespace ovid::kernels::test {

namespace {

constexpr RandomStream kStream{.seed = 7, .use = RandomUse::kRounding, .major = 3, .minor = 1};

struct State {
  Tensor weight;
  Tensor gradient;
  Tensor first_moment;
  Tensor second_moment;
};

Tensor converted(const Tensor& from, DType dtype) {
  Tensor to(dtype, from.shape());
  run_op(1, [&](ExecutionContext& ctx) { convert(ctx, {.in = from, .out = to}); });
  return to;
}

// Moments that bfloat16 holds, in either type.
State random_state(std::int64_t count, DType moments) {
  const Tensor m = converted(Tensor::random({count}, 3, 0.01), DType::kBfloat16);
  const Tensor v = converted(Tensor::random({count}, 4, 4e-5, 5e-5), DType::kBfloat16);
  return {.weight = Tensor::random({count}, 1, 0.1),
          .gradient = Tensor::random({count}, 2, 0.01),
          .first_moment = converted(m, moments),
          .second_moment = converted(v, moments)};
}

View part_of(const ConstView& view, std::int64_t begin, std::int64_t count) {
  const auto* bytes = static_cast<const char*>(view.raw());
  return {const_cast<char*>(bytes) + begin * static_cast<std::int64_t>(bytes_of(view.dtype())),
          view.dtype(), Shape{count}};
}

AdamWTensor part_of(State& state, std::int64_t begin, std::int64_t count,
                    std::uint64_t first_index) {
  return {.weight = part_of(state.weight, begin, count),
          .gradient = part_of(state.gradient, begin, count),
          .first_moment = part_of(state.first_moment, begin, count),
          .second_moment = part_of(state.second_moment, begin, count),
          .weight_decay = 0.1,
          .first_index = first_index + static_cast<std::uint64_t>(begin)};
}

AdamW operands(std::span<const AdamWTensor> tensors, std::int64_t step = 3) {
  return {.tensors = tensors,
          .gradient_scale = 0.5f,
          .learning_rate = 1e-3,
          .beta1 = 0.9,
          .beta2 = 0.95,
          .epsilon = 1e-8,
          .step = step,
          .moment_rounding = kStream};
}

State updated(std::int64_t count, DType moments, std::uint64_t first_index, int threads) {
  State state = random_state(count, moments);
  const AdamWTensor tensor = part_of(state, 0, count, first_index);
  run_op(threads, [&](ExecutionContext& ctx) { adamw_update(ctx, operands({&tensor, 1})); });
  return state;
}

std::vector<double> times(double factor, std::vector<double> values) {
  for (double& value : values) value *= factor;
  return values;
}

// The spacing of bfloat16 is at most 2^-7 of a number: what is stored lies less than that from the
// moment in double.
void check_stored(const char* name, const Tensor& stored, const std::vector<double>& exact) {
  const std::vector<double> values = stored.values();
  for (std::size_t i = 0; i < values.size(); ++i) {
    INFO(name << " " << i << ": " << values[i] << ", exactly " << exact[i]);
    REQUIRE(std::abs(values[i] - exact[i]) <= (0x1p-7 + 0x1p-20) * std::abs(exact[i]));
  }
}

// Decays a second moment of 1 by beta2 = 0.999 under a constant gradient, for `steps` steps.
Tensor second_moments(std::int64_t count, int steps, float start, float gradient) {
  State state{.weight = Tensor::zeros(DType::kFloat32, {count}),
              .gradient = Tensor::filled({count}, gradient),
              .first_moment = Tensor::zeros(DType::kBfloat16, {count}),
              .second_moment = converted(Tensor::filled({count}, start), DType::kBfloat16)};
  const AdamWTensor tensor = part_of(state, 0, count, 0);
  for (int step = 1; step <= steps; ++step) {
    AdamW op = operands({&tensor, 1}, step);
    op.gradient_scale = 1.0f;
    op.beta2 = 0.999;
    op.moment_rounding->major = static_cast<std::uint64_t>(step);
    run_op(1, [&](ExecutionContext& ctx) { adamw_update(ctx, op); });
  }
  return state.second_moment;
}

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

}  // namespace

TEST_CASE("AdamW stores bfloat16 moments as the float32 ones, rounded by their own words",
          "[kernels][cpu]") {
  for_each_instruction_set([] {
    for (const std::int64_t count : {1, 3, 4, 15, 17, 1000, 1024, 4099, 9001}) {
      for (const std::uint64_t first_index : {0, 1, 6, 4095}) {
        INFO("count " << count << ", first index " << first_index);
        const State exact = updated(count, DType::kFloat32, first_index, 1);
        const State rounded = updated(count, DType::kBfloat16, first_index, 2);
        Tensor m(DType::kBfloat16, {count}), v(DType::kBfloat16, {count});
        reference::store_moments(exact.first_moment.data<float>(),
                                 exact.second_moment.data<float>(), count, kStream, first_index,
                                 static_cast<std::uint16_t*>(m.view().raw()),
                                 static_cast<std::uint16_t*>(v.view().raw()));
        CHECK(rounded.first_moment.same_bits(m));
        CHECK(rounded.second_moment.same_bits(v));
        CHECK(rounded.weight.same_bits(exact.weight));
        CHECK(rounded.first_moment.surroundings_untouched());
        CHECK(rounded.second_moment.surroundings_untouched());
      }
    }
  });
}

TEST_CASE("AdamW's bfloat16 moments lie within one spacing of the reference in double",
          "[kernels][cpu]") {
  constexpr std::int64_t kCount = 5000;
  const State before = random_state(kCount, DType::kFloat32);
  std::vector<double> weight = before.weight.values(), m = before.first_moment.values(),
                      v = before.second_moment.values();
  reference::adamw_update(weight.data(), before.gradient.values().data(), m.data(), v.data(),
                          kCount,
                          {.gradient_scale = 0.5,
                           .learning_rate = 1e-3,
                           .beta1 = 0.9,
                           .beta2 = 0.95,
                           .epsilon = 1e-8,
                           .weight_decay = 0.1,
                           .step = 3});
  const State after = updated(kCount, DType::kBfloat16, 0, 2);
  check_close("weight", after.weight, weight, 2 * tolerance(DType::kFloat32, 1));
  // Where gradient and moment nearly cancel, float32 errs by its roundings of the terms.
  for (std::size_t i = 0; i < m.size(); ++i) m[i] = std::abs(m[i]) < 1e-6 ? 0.0 : m[i];
  std::vector<double> stored = after.first_moment.values();
  for (std::size_t i = 0; i < m.size(); ++i) {
    if (m[i] == 0.0) continue;
    REQUIRE(std::abs(stored[i] - m[i]) <= (0x1p-7 + 1e-3) * std::abs(m[i]));
  }
  check_stored("second_moment", after.second_moment, v);
}

TEST_CASE("AdamW with bfloat16 moments has equal bits on every number of threads, and in parts",
          "[kernels][cpu]") {
  check_same_bits_on_threads("adamw_update", [](int threads) {
    State state = updated(70001, DType::kBfloat16, 0, threads);
    return std::vector<Tensor>{state.weight, state.first_moment, state.second_moment};
  });
  constexpr std::int64_t kCount = 20000;
  const State whole = updated(kCount, DType::kBfloat16, 0, 1);
  State parts = random_state(kCount, DType::kBfloat16);
  std::vector<AdamWTensor> tensors;
  for (const auto& [begin, end] : {std::pair{0, 4099}, {4099, 4101}, {4101, 9000}, {9000, 20000}}) {
    tensors.push_back(part_of(parts, begin, end - begin, 0));
  }
  run_op(2, [&](ExecutionContext& ctx) { adamw_update(ctx, operands(tensors)); });
  CHECK(parts.weight.same_bits(whole.weight));
  CHECK(parts.first_moment.same_bits(whole.first_moment));
  CHECK(parts.second_moment.same_bits(whole.second_moment));
}

// With beta2 = 0.999 a step takes 1/1000 of v, bfloat16's spacing is 1/256 to 1/128 of it: rounded
// to nearest, v would stay where it is for good. Each rounding errs by at most half a spacing in
// the root mean square, 2^-8 of v, with mean zero; decaying by beta2 from one step to the next the
// errors add up to at most 2^-8 / sqrt(1 - beta2^2) = 8.7 % in the long run.
TEST_CASE("bfloat16 second moments with beta2 of 0.999 fall and rise as exact ones on average",
          "[kernels][cpu]") {
  constexpr std::int64_t kCount = 4096;
  constexpr int kSteps = 700;
  const double decay = std::pow(0.999, kSteps);
  const double deviation = 0x1p-8 / std::sqrt(1.0 - 0.999 * 0.999);
  const double margin = 5.0 * deviation / std::sqrt(double{kCount});
  const std::vector<double> falling = second_moments(kCount, kSteps, 1.0f, 0.0f).values();
  CHECK(mean_of(falling) / decay == Approx(1.0).margin(margin));
  const std::vector<double> rising = second_moments(kCount, kSteps, 0.0f, 1.0f).values();
  CHECK(mean_of(rising) / (1.0 - decay) == Approx(1.0).margin(margin));
  for (const auto& [values, exact] : {std::pair{falling, decay}, {rising, 1.0 - decay}}) {
    double squares = 0;
    for (const double value : times(1.0 / exact, values)) squares += (value - 1.0) * (value - 1.0);
    CHECK(std::sqrt(squares / double{kCount}) < deviation);
  }
}

TEST_CASE("AdamW refuses bfloat16 moments without random numbers of their own", "[kernels]") {
  ScratchArena arena;
  ExecutionContext ctx = ExecutionContext::dry_run(DeviceKind::kCpu, 1, arena);
  State state = random_state(4, DType::kBfloat16);
  AdamWTensor tensor = part_of(state, 0, 4, 0);
  AdamW op = operands({&tensor, 1});
  CHECK_NOTHROW(adamw_update(ctx, op));
  op.rounding = kStream;
  CHECK_THROWS_WITH(adamw_update(ctx, op),
                    "adamw_update: weights and moments are rounded by one stream, expected two");
  op.rounding->minor = 0;
  CHECK_NOTHROW(adamw_update(ctx, op));
  op.moment_rounding.reset();
  CHECK_THROWS_WITH(
      adamw_update(ctx, op),
      "adamw_update: moments are bfloat16, expected a stream of random numbers to round by");
  op.moment_rounding = kStream;
  state.second_moment = Tensor(DType::kFloat32, {4});
  tensor = part_of(state, 0, 4, 0);
  CHECK_THROWS_WITH(adamw_update(ctx, op),
                    "adamw_update: second_moment is float32 (4), expected bfloat16 (4)");
  state.first_moment = Tensor(DType::kFloat16, {4});
  tensor = part_of(state, 0, 4, 0);
  CHECK_THROWS_WITH(adamw_update(ctx, op),
                    "adamw_update: first_moment is float16 (4), expected float32 or bfloat16");
}

}  // namespace ovid::kernels::test
