#include <optional>
#include <vector>

#include "kernels/linear/linear.h"
#include "tests/catch.h"
#include "tests/kernels/op_checks.h"

// Gradients of the parameters that are not wanted: of frozen layers.
namespace ovid::kernels {

using namespace ovid::kernels::test;

namespace {

struct Wanted {
  bool d_in, d_weight, d_bias;
};

struct Gradients {
  Tensor d_in, d_weight, d_bias;
};

// Gradients that are not wanted keep what they held.
Gradients backward(WeightLayout layout, const Wanted& wanted) {
  const std::int64_t N = 37, K = 24, M = 19;
  const Shape weight_shape = layout == WeightLayout::kInOut ? Shape{K, M} : Shape{M, K};
  const Tensor in = Tensor::random({N, K}, 1), weight = Tensor::random(weight_shape, 2);
  const Tensor d_out = Tensor::random({N, M}, 3);
  Gradients g{Tensor::random({N, K}, 4), Tensor::random(weight_shape, 5), Tensor::random({M}, 6)};
  run_op(2, [&](ExecutionContext& ctx) {
    LinearGradient op{.d_out = d_out, .in = in, .weight = weight, .layout = layout};
    if (wanted.d_in) op.d_in.emplace(g.d_in);
    if (wanted.d_weight) op.d_weight.emplace(g.d_weight);
    if (wanted.d_bias) op.d_bias.emplace(g.d_bias);
    linear_backward(ctx, op);
  });
  return g;
}

}  // namespace

TEST_CASE("a frozen weight or bias changes no bit of the other gradients", "[kernels][cpu]") {
  for (const WeightLayout layout : {WeightLayout::kInOut, WeightLayout::kOutIn}) {
    const Gradients all = backward(layout, {.d_in = true, .d_weight = true, .d_bias = true});
    const Gradients before = backward(layout, {.d_in = false, .d_weight = false, .d_bias = false});
    for (const bool d_in : {false, true}) {
      for (const bool d_weight : {false, true}) {
        for (const bool d_bias : {false, true}) {
          const Gradients some =
              backward(layout, {.d_in = d_in, .d_weight = d_weight, .d_bias = d_bias});
          CHECK(some.d_in.values() == (d_in ? all : before).d_in.values());
          CHECK(some.d_weight.values() == (d_weight ? all : before).d_weight.values());
          CHECK(some.d_bias.values() == (d_bias ? all : before).d_bias.values());
        }
      }
    }
  }
}

}  // namespace ovid::kernels
