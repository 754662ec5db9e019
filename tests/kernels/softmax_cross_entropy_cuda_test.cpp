#include <cmath>

#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"
#include "kernels/softmax_cross_entropy/softmax_cross_entropy_reference.h"
#include "tests/catch.h"
#include "tests/kernels/cuda_checks.h"

namespace ovid::kernels {

using namespace ovid::kernels::test;

namespace {

struct Result {
  Tensor logits;  // d_logits where asked for
  Tensor losses;
};

Result run(const Tensor& logits, const Tensor& targets, bool write_gradient) {
  Result result{logits, Tensor(DType::kFloat32, {logits.shape()[0]})};
  CudaRun run;
  const View z = run.output(result.logits), losses = run.output(result.losses);
  const ConstView y = run.input(targets);
  run.op([&](ExecutionContext& ctx) {
    softmax_cross_entropy(ctx, {.logits = z,
                                .targets = y,
                                .losses = losses,
                                .scale = 0.25f,
                                .write_gradient = write_gradient});
  });
  run.finish();
  return result;
}

std::vector<std::int32_t> some_targets(std::int64_t N, std::int64_t V) {
  std::vector<std::int32_t> targets;
  for (std::int64_t n = 0; n < N; ++n) {
    targets.push_back(n % 5 == 3 ? kIgnoreTarget : static_cast<std::int32_t>(n * 7919 % V));
  }
  targets[0] = static_cast<std::int32_t>(V - 1);
  return targets;
}

void check_case(DType dtype, std::int64_t N, std::int64_t V, std::int64_t stride, double spread) {
  INFO("N = " << N << ", V = " << V << ", row stride " << stride);
  const Tensor input = rounded_to(dtype, Tensor::random({N, V}, 11, spread).padded(stride));
  const std::vector<std::int32_t> targets = some_targets(N, V);
  std::vector<double> losses, d_logits = input.values();
  for (std::int64_t n = 0; n < N; ++n) {
    double* row = d_logits.data() + n * V;
    const std::int32_t target = targets[static_cast<std::size_t>(n)];
    losses.push_back(reference::cross_entropy_loss(row, target, V));
    reference::cross_entropy_gradient(row, target, 0.25, row, V);
  }
  const Tensor y = Tensor::of(Shape{N}, targets);
  const Result both = run(input, y, true);
  // A thread adds V / 128 exponentials at most before they are added in pairs. Exponentials of
  // differences up to 2 spread err by as many units of 2^-24, log2(e) rounded and multiplied by it.
  const double exponentials = 4 * spread * 0x1p-24;
  const double sums = tolerance(DType::kFloat32, std::max<std::int64_t>(V / 128, 8));
  check_close("losses", both.losses, losses, sums + exponentials);
  check_close("d_logits", both.logits, d_logits,
              cuda_tolerance(dtype, std::max<std::int64_t>(V / 128, 8)) + exponentials);

  const Result only_losses = run(input, y, false);
  CHECK(only_losses.logits.same_bits(input));
  CHECK(only_losses.logits.surroundings_untouched());
  CHECK(only_losses.losses.same_bits(both.losses));
}

}  // namespace

TEST_CASE("cross entropy on CUDA agrees with its reference in every precision", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for_each_precision([](DType dtype) {
    for (const std::int64_t V : {1, 3, 7, 8, 9, 65, 1023, 1024, 1025}) {
      check_case(dtype, 6, V, V + (V % 2) * 7, 4.0);
      check_case(dtype, 6, V, (V + 15) / 8 * 8, 4.0);
    }
    check_case(dtype, 4, 4095, 4096, 4.0);
    check_case(dtype, 4, 4097, 4104, 4.0);
    check_case(dtype, 2, 50257, 50304, 8.0);
  });
}

TEST_CASE("cross entropy on CUDA agrees with its reference where blocks own several rows",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  check_case(DType::kBfloat16, 3600, 24, 32, 4.0);
  check_case(DType::kFloat32, 1, 24, 24, 4.0);
  check_case(DType::kBfloat16, 440, 4100, 4104, 4.0);
}

TEST_CASE("cross entropy on CUDA reads rows that shared memory cannot hold twice",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  // 256 KB a row; the second row of a block is loaded while the first is stored.
  check_case(DType::kFloat32, 2, 65536, 65536, 8.0);
}

TEST_CASE("cross entropy on CUDA is exact in what huge and infinite logits leave of it",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for_each_precision([](DType dtype) {
    if (dtype != DType::kFloat16) check_case(dtype, 4, 100, 104, 1e4);
  });
  const Tensor logits =
      Tensor::of({2, 3}, std::vector<float>{1e4f, -1e4f, -INFINITY, 3e38f, 3e38f, -3e38f});
  const Tensor targets = Tensor::of(Shape{2}, std::vector<std::int32_t>{1, 0});
  const Result result = run(logits, targets, true);
  CHECK(result.losses.values()[0] == 2e4);
  CHECK(result.losses.values()[1] == Approx(std::log(2.0)).epsilon(0x1p-22));
  CHECK(result.logits.values() == std::vector<double>{0.25, -0.25, 0, -0.125, 0.125, 0});
}

TEST_CASE("cross entropy on CUDA: a thread that sees -infinity alone adds nothing",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  std::vector<float> values(4096, -INFINITY);
  values[1] = 2.0f;
  values[4000] = 2.0f;
  const Tensor targets = Tensor::of(Shape{1}, std::vector<std::int32_t>{4000});
  const Result result = run(Tensor::of({1, 4096}, values), targets, true);
  CHECK(result.losses.values()[0] == Approx(std::log(2.0)).epsilon(0x1p-22));
  CHECK(result.logits.values()[0] == 0.0);
  CHECK(result.logits.values()[1] == 0.125);
}

TEST_CASE("cross entropy on CUDA: a NaN among the logits reaches the loss", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for_each_precision([](DType dtype) {
    for (const std::int64_t V : {5, 40, 5000}) {
      for (const std::int64_t place : {std::int64_t{0}, V / 2, V - 1}) {
        Tensor logits = Tensor::random({1, V}, 5);
        logits.data<float>()[place] = NAN;
        const Tensor targets = Tensor::of(Shape{1}, std::vector<std::int32_t>{1});
        INFO("NaN at " << place << " of " << V);
        CHECK(std::isnan(run(rounded_to(dtype, logits), targets, true).losses.values()[0]));
      }
    }
  });
}

}  // namespace ovid::kernels
