#include "kernels/dropout/dropout.h"

#include <cmath>

#include "kernels/dropout/dropout_reference.h"
#include "tests/catch.h"
#include "tests/kernels/op_checks.h"

namespace ovid::kernels::test {

namespace {

DropoutMask some_mask(float probability) {
  return {.probability = probability, .stream = {.seed = 1337, .major = 4, .minor = 9}};
}

Tensor dropped(const Tensor& in, const DropoutMask& mask, int threads) {
  Tensor out(DType::kFloat32, in.shape());
  run_op(threads, [&](ExecutionContext& ctx) {
    dropout_forward(ctx, {.in = in, .out = out, .mask = mask});
  });
  return out;
}

}  // namespace

TEST_CASE("dropout's reference gradient matches finite differences", "[kernels]") {
  const DropoutMask mask = some_mask(0.4f);
  const std::vector<double> d_out = random_doubles(11, 1);
  std::vector<double> gradient(11);
  reference::dropout_backward(d_out.data(), gradient.data(), 11, mask);
  const auto loss = [&](const std::vector<double>& x) {
    std::vector<double> out(11);
    reference::dropout_forward(x.data(), out.data(), 11, mask);
    return dot(out, d_out);
  };
  check_gradient("dropout", loss, random_doubles(11, 2), gradient);
}

TEST_CASE("dropout matches the reference, forward and backward, also in place", "[kernels][cpu]") {
  for (const std::int64_t C : {1, 3, 4, 5, 63, 4097}) {
    for (const float probability : {0.0f, 0.1f, 0.99f}) {
      INFO("C = " << C << ", probability " << probability);
      const DropoutMask mask = some_mask(probability);
      const Tensor in = Tensor::random({3, C}, 6);
      std::vector<double> expected = in.values();
      reference::dropout_forward(expected.data(), expected.data(), 3 * C, mask);
      const Tensor out = dropped(in, mask, 2);
      check_close("dropout", out, expected, tolerance(DType::kFloat32, 1));
      Tensor in_place = in;
      Tensor d_in(DType::kFloat32, in.shape());
      run_op(2, [&](ExecutionContext& ctx) {
        dropout_forward(ctx, {.in = in_place.view(), .out = in_place, .mask = mask});
        dropout_backward(ctx, {.d_out = in, .d_in = d_in, .mask = mask});
      });
      CHECK(in_place.same_bits(out));
      CHECK(d_in.same_bits(out));  // the map is its own adjoint: the same mask again
    }
  }
}

TEST_CASE("dropout keeps the mean and its share of the elements", "[kernels][cpu]") {
  constexpr std::int64_t kCount = 1 << 18;
  const Tensor out = dropped(Tensor::filled({64, kCount / 64}, 1.0f), some_mask(0.1f), 2);
  double sum = 0.0;
  for (const double value : out.values()) {
    REQUIRE((value == 0.0 || value == static_cast<double>(some_mask(0.1f).keep_scale())));
    sum += value;
  }
  // A kept element is 1 / 0.9: standard deviation of the mean sqrt(0.1 / 0.9 / n); six of them.
  CHECK(std::abs(sum / kCount - 1.0) < 6 * std::sqrt(0.1 / 0.9 / kCount));
}

TEST_CASE("dropout has equal bits on every number of threads", "[kernels][cpu]") {
  check_same_bits_on_threads("dropout", [](int threads) {
    std::vector<Tensor> results;
    results.push_back(dropped(Tensor::random({37, 1001}, 8), some_mask(0.3f), threads));
    return results;
  });
}

TEST_CASE("dropout refuses operands that do not fit", "[kernels]") {
  ScratchArena arena;
  ExecutionContext ctx = ExecutionContext::dry_run(DeviceKind::kCpu, 1, arena);
  Tensor in(DType::kFloat32, {2, 3});
  Tensor out(DType::kFloat32, {3, 2});
  CHECK_THROWS_WITH(dropout_forward(ctx, {.in = in.view(), .out = out, .mask = some_mask(0.1f)}),
                    "dropout_forward: out is float32 (3, 2), expected float32 (2, 3)");
  CHECK_THROWS_WITH(
      dropout_backward(ctx, {.d_out = in.view(), .d_in = in, .mask = some_mask(1.0f)}),
      "dropout_backward: mask.probability is 1.000000, expected a number in [0, 1)");
}

}  // namespace ovid::kernels::test
