#include <map>
#include <string>

#include "kernels/linear/linear.h"
#include "tests/catch.h"
#include "tests/kernels/cuda_checks.h"
#include "tests/kernels/linear_cuda_layer.h"
#include "tests/kernels/product_paths.h"

namespace ovid::kernels {

using namespace ovid::kernels::test;

TEST_CASE("bias, GELU and the bias gradient are inside cuBLASLt's kernels where strides allow",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for (const DType dtype : {DType::kFloat32, DType::kBfloat16, DType::kFloat16}) {
    const Layer layer{.s = {16, 64, 48}, .dtype = dtype};
    INFO(layer.name());
    const auto paths_of = [](const auto& call) {
      cuda_device()->set_product_choices("{}");
      call();
      return product_paths();
    };
    using Paths = std::map<std::string, bool>;  // whether the library had an algorithm
    CHECK(paths_of([&] { forward(layer); }) == Paths{{"bias", true}});
    CHECK(paths_of([&] { gelu_forward(layer, false, false); }) == Paths{{"bias+gelu+aux", true}});
    CHECK(paths_of([&] { gelu_forward(layer, false, true); }) == Paths{{"bias+gelu", true}});
    CHECK(paths_of([&] { gelu_forward(layer, true, false); }).empty());
    const BackwardMode how{.mode = GradientMode::kAccumulate, .gradient = DType::kFloat32};
    CHECK(paths_of([&] { backward(layer, how); }) ==
          Paths{{"none", true}, {"sums of right", true}});
    const Layer head{.s = {16, 64, 48}, .dtype = dtype, .layout = WeightLayout::kOutIn};
    CHECK(paths_of([&] { backward(head, how); }) == Paths{{"none", true}, {"sums of left", true}});
    const BackwardMode through{how.mode, how.gradient, true};
    CHECK(paths_of([&] { backward(layer, through); }) ==
          Paths{{"gelu gradient", true}, {"sums of right", true}});
    // aux needs strides of whole eights: GELU is a pass of its own.
    const Layer odd{.s = {16, 63, 47}, .dtype = dtype};
    CHECK(paths_of([&] { gelu_forward(odd, false, false); }) == Paths{{"bias", true}});
    CHECK(paths_of([&] { backward(odd, through); }) ==
          Paths{{"none", true}, {"sums of right", true}});
  }
  cuda_device()->set_product_choices("{}");
}

TEST_CASE("a row by itself has the bits that it has among others", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for_each_precision([](DType dtype) {
    for (const Sizes& s : {Sizes{9, 7, 5}, Sizes{9, 65, 33}, Sizes{9, 64, 48}, Sizes{9, 1600, 40},
                           Sizes{9, 768, 50}}) {
      for (const WeightLayout layout : kLayouts) {
        const Layer layer{.s = s, .dtype = dtype, .layout = layout};
        INFO(layer.name());
        const Doubles all = forward(layer, true).values();
        for (const std::int64_t rows : {1, 2, 8}) {
          INFO("the last " << rows << " rows");
          const Doubles last = forward(layer, true, rows).values();
          CHECK(last == Doubles(all.end() - rows * s.M, all.end()));
        }
      }
    }
  });
}

TEST_CASE("two runs of linear on CUDA give the same bits", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  const Layer layer{.s = {130, 64, 24}, .dtype = DType::kBfloat16};
  for (const bool row_independent : {false, true}) {
    CHECK(forward(layer, row_independent).same_bits(forward(layer, row_independent)));
  }
  const BackwardMode how{.mode = GradientMode::kAccumulate, .gradient = DType::kFloat32};
  const Gradients first = backward(layer, how), second = backward(layer, how);
  CHECK(first.d_in.same_bits(second.d_in));
  CHECK(first.d_weight.same_bits(second.d_weight));
  CHECK(first.d_bias.same_bits(second.d_bias));
}

TEST_CASE("float32 operands are rounded to TF32 only where it is allowed", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  const Layer layer{.s = {16, 256, 48}, .dtype = DType::kFloat32};
  const Doubles expected = layer.expected_out();
  check_close("float32", forward(layer), expected, cuda_tolerance(DType::kFloat32, layer.s.K));
  const Tensor rounded = forward(layer, false, -1, true);
  // Each operand is off by up to 2^-11 of itself, at random: 6 standard deviations of sqrt(2 / 3).
  check_close("tf32", rounded, expected, 6 * 0.82 * 0x1p-11);
  CHECK_FALSE(rounded.same_bits(forward(layer)));
}

}  // namespace ovid::kernels
