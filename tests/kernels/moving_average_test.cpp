#include "kernels/moving_average/moving_average.h"

#include "kernels/moving_average/moving_average_reference.h"
#include "tests/catch.h"
#include "tests/kernels/op_checks.h"

namespace ovid::kernels::test {

namespace {

Tensor averaged(std::int64_t count, float decay, int threads) {
  const Tensor value = Tensor::random({count}, 1);
  Tensor average = Tensor::random({count}, 2);
  run_op(threads, [&](ExecutionContext& ctx) {
    moving_average_update(ctx, {.value = value, .average = average, .decay = decay});
  });
  CHECK(average.surroundings_untouched());
  return average;
}

}  // namespace

TEST_CASE("the moving average matches the reference", "[kernels][cpu]") {
  for_each_instruction_set([] {
    for (const std::int64_t count : {1, 3, 7, 8, 15, 16, 17, 33, 32769, 100001}) {
      for (const float decay : {0.0f, 0.9f, 0.999f, 1.0f}) {
        INFO("count " << count << ", decay " << decay);
        const std::vector<double> value = Tensor::random({count}, 1).values();
        std::vector<double> expected = Tensor::random({count}, 2).values();
        reference::moving_average_update<double>(value.data(), expected.data(), count,
                                                 static_cast<double>(decay));
        // A difference, a share of 1 - decay and the sum: three roundings of numbers below 2.
        check_close("average", averaged(count, decay, 2), expected, tolerance(DType::kFloat32, 3));
      }
    }
  });
}

TEST_CASE("the average of equal weights stays exactly", "[kernels][cpu]") {
  const Tensor value = Tensor::random({1000}, 3);
  Tensor average = value;
  run_op(1, [&](ExecutionContext& ctx) {
    moving_average_update(ctx, {.value = value, .average = average, .decay = 0.37f});
  });
  CHECK(average.same_bits(value));
}

TEST_CASE("the moving average has equal bits on every number of threads", "[kernels][cpu]") {
  check_same_bits_on_threads("moving_average_update", [&](int threads) {
    std::vector<Tensor> results;
    results.push_back(averaged(300001, 0.99f, threads));
    return results;
  });
}

TEST_CASE("moving_average_update refuses operands that do not fit", "[kernels]") {
  ScratchArena arena;
  ExecutionContext ctx = ExecutionContext::dry_run(DeviceKind::kCpu, 1, arena);
  const Tensor value = Tensor::filled({3}, 1.0f);
  Tensor average = Tensor::filled({4}, 1.0f);
  CHECK_THROWS_WITH(moving_average_update(ctx, {.value = value, .average = average, .decay = 0.5f}),
                    "moving_average_update: average is float32 (4), expected float32 (3)");
}

}  // namespace ovid::kernels::test
