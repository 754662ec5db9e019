#include "kernels/moving_average/moving_average.h"
#include "kernels/moving_average/moving_average_reference.h"
#include "tests/catch.h"
#include "tests/kernels/cuda_checks.h"

namespace ovid::kernels {

using namespace ovid::kernels::test;

namespace {

// Of the elements from `first` on.
Tensor averaged(const Tensor& value, Tensor average, std::int64_t first, float decay) {
  CudaRun run;
  const ConstView x = run.input(value);
  const View mean = run.output(average);
  const Shape shape{x.elements() - first};
  run.op([&](ExecutionContext& ctx) {
    moving_average_update(ctx, {.value = ConstView(x.data<float>() + first, DType::kFloat32, shape),
                                .average = View(mean.data<float>() + first, DType::kFloat32, shape),
                                .decay = decay});
  });
  run.finish();
  return average;
}

}  // namespace

TEST_CASE("the moving average on CUDA agrees with its reference", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for (const std::int64_t count : {1, 3, 4, 5, 1023, 1024, 1025, 5003}) {
    for (const std::int64_t first : {0, 1}) {
      INFO("count " << count << " from " << first);
      const Tensor value = Tensor::random({count}, 1), before = Tensor::random({count}, 2);
      std::vector<double> expected = before.values();
      reference::moving_average_update<double>(value.values().data() + first,
                                               expected.data() + first, count - first,
                                               static_cast<double>(0.999f));
      // A difference, a share of 1 - decay and the sum: three roundings of numbers below 2.
      check_close("average", averaged(value, before, first, 0.999f), expected,
                  tolerance(DType::kFloat32, 3));
    }
  }
  const Tensor value = Tensor::random({1000}, 3);
  CHECK(averaged(value, value, 0, 0.37f).same_bits(value));
}

}  // namespace ovid::kernels
