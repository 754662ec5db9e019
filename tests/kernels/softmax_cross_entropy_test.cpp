#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"

#include <cmath>

#include "kernels/softmax_cross_entropy/softmax_cross_entropy_reference.h"
#include "tests/catch.h"
#include "tests/kernels/op_checks.h"

namespace ovid::kernels::test {

namespace {

struct Expected {
  std::vector<double> losses;
  std::vector<double> d_logits;
};

Expected run_reference(const Tensor& logits, const std::vector<std::int32_t>& targets,
                       double scale) {
  const std::int64_t V = logits.shape().last();
  Expected expected{.losses = {}, .d_logits = logits.values()};
  for (std::size_t n = 0; n < targets.size(); ++n) {
    double* row = expected.d_logits.data() + static_cast<std::int64_t>(n) * V;
    expected.losses.push_back(reference::cross_entropy_loss(row, targets[n], V));
    reference::cross_entropy_gradient(row, targets[n], scale, row, V);
  }
  return expected;
}

std::vector<std::int32_t> some_targets(std::int64_t N, std::int64_t V) {
  std::vector<std::int32_t> targets;
  for (std::int64_t n = 0; n < N; ++n) {
    targets.push_back(n % 5 == 3 ? kIgnoreTarget : static_cast<std::int32_t>(n * 7919 % V));
  }
  targets[0] = static_cast<std::int32_t>(V - 1);
  return targets;
}

void check_case(std::int64_t N, std::int64_t V, std::int64_t stride, double spread) {
  const Tensor input = Tensor::random({N, V}, 11, spread).padded(stride);
  const std::vector<std::int32_t> target_values = some_targets(N, V);
  const Tensor targets = Tensor::of(Shape{N}, target_values);
  const Expected expected = run_reference(input, target_values, 0.25);
  Tensor logits = input;
  Tensor losses(DType::kFloat32, {N});
  run_op(2, [&](ExecutionContext& ctx) {
    softmax_cross_entropy(ctx,
                          {.logits = logits, .targets = targets, .losses = losses, .scale = 0.25f});
  });
  INFO("N = " << N << ", V = " << V << ", row stride " << stride);
  // Sums run over at most 1024 floats before they go on in double; the exponential adds 4
  // roundings.
  const double relative = tolerance(DType::kFloat32, std::min<std::int64_t>(V, 1024));
  check_close("losses", losses, expected.losses, relative);
  check_close("d_logits", logits, expected.d_logits, relative);

  Tensor unchanged = input;
  Tensor losses_only(DType::kFloat32, {N});
  run_op(2, [&](ExecutionContext& ctx) {
    softmax_cross_entropy(
        ctx,
        {.logits = unchanged, .targets = targets, .losses = losses_only, .write_gradient = false});
  });
  CHECK(unchanged.same_bits(input));
  CHECK(losses_only.same_bits(losses));
}

}  // namespace

TEST_CASE("cross entropy's reference gradient matches finite differences", "[kernels]") {
  const std::vector<double> logits = random_doubles(9, 3, 2.0);
  for (const std::int32_t target : {0, 8, -1}) {
    std::vector<double> gradient(logits.size());
    reference::cross_entropy_gradient(logits.data(), target, 1.0, gradient.data(), 9);
    const auto loss = [&](const std::vector<double>& x) {
      return reference::cross_entropy_loss(x.data(), target, 9);
    };
    check_gradient("cross entropy", loss, logits, gradient);
  }
}

TEST_CASE("cross entropy matches the reference", "[kernels][cpu]") {
  for_each_instruction_set([] {
    for (const std::int64_t V : {1, 2, 15, 16, 17, 31, 33, 1023, 1024, 1025, 1057}) {
      check_case(6, V, V + (V % 2) * 7, 4.0);
    }
    check_case(3, 50257, 50304, 8.0);
  });
}

TEST_CASE("cross entropy is exact in what huge and infinite logits leave of it", "[kernels][cpu]") {
  for_each_instruction_set([] {
    check_case(4, 100, 100, 1e4);
    Tensor logits =
        Tensor::of({2, 3}, std::vector<float>{1e4f, -1e4f, -INFINITY, 3e38f, 3e38f, -3e38f});
    const Tensor targets = Tensor::of(Shape{2}, std::vector<std::int32_t>{1, 0});
    Tensor losses(DType::kFloat32, {2});
    run_op(1, [&](ExecutionContext& ctx) {
      softmax_cross_entropy(ctx, {.logits = logits, .targets = targets, .losses = losses});
    });
    CHECK(losses.values() == std::vector<double>{2e4, static_cast<float>(std::log(2.0))});
    CHECK(logits.values() == std::vector<double>{1, -1, 0, -0.5, 0.5, 0});
  });
}

TEST_CASE("a NaN among the logits reaches the loss", "[kernels][cpu]") {
  for_each_instruction_set([] {
    for (const std::int64_t V : {5, 40, 2000}) {
      for (const std::int64_t place : {std::int64_t{0}, V / 2, V - 1}) {
        Tensor logits = Tensor::random({1, V}, 5);
        logits.data<float>()[place] = NAN;
        const Tensor targets = Tensor::of(Shape{1}, std::vector<std::int32_t>{1});
        Tensor losses(DType::kFloat32, {1});
        run_op(1, [&](ExecutionContext& ctx) {
          softmax_cross_entropy(ctx, {.logits = logits, .targets = targets, .losses = losses});
        });
        INFO("NaN at " << place << " of " << V);
        CHECK(std::isnan(losses.values()[0]));
      }
    }
  });
}

TEST_CASE("cross entropy has equal bits on every number of threads", "[kernels][cpu]") {
  check_same_bits_on_threads("softmax_cross_entropy", [](int threads) {
    Tensor logits = Tensor::random({37, 1030}, 2, 5.0);
    const Tensor targets = Tensor::of(Shape{37}, some_targets(37, 1030));
    Tensor losses(DType::kFloat32, {37});
    run_op(threads, [&](ExecutionContext& ctx) {
      softmax_cross_entropy(ctx, {.logits = logits, .targets = targets, .losses = losses});
    });
    return std::vector<Tensor>{logits, losses};
  });
}

TEST_CASE("cross entropy refuses operands that do not fit", "[kernels]") {
  ScratchArena arena;
  ExecutionContext ctx = ExecutionContext::dry_run(DeviceKind::kCpu, 1, arena);
  Tensor logits(DType::kFloat32, {4, 10});
  Tensor losses(DType::kFloat32, {4});
  const Tensor three = Tensor::zeros(DType::kInt32, {3});
  const Tensor four = Tensor::zeros(DType::kInt32, {4});
  Tensor wrong(DType::kFloat32, {5});
  CHECK_THROWS_WITH(
      softmax_cross_entropy(ctx, {.logits = logits, .targets = three, .losses = losses}),
      "softmax_cross_entropy: targets is int32 (3), expected int32 (4)");
  CHECK_THROWS_WITH(
      softmax_cross_entropy(ctx, {.logits = logits, .targets = four, .losses = wrong}),
      "softmax_cross_entropy: losses is float32 (5), expected float32 (4)");
}

}  // namespace ovid::kernels::test
