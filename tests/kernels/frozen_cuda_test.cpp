#include <optional>

#include "kernels/embedding/embedding.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/linear/linear.h"
#include "tests/catch.h"
#include "tests/kernels/cuda_checks.h"

// Gradients of parameters that are not wanted, of frozen layers: the others stay what they are.
namespace ovid::kernels {

using namespace ovid::kernels::test;

namespace {

struct Wanted {
  bool first, second;
};
constexpr Wanted kSome[] = {{true, false}, {false, true}, {false, false}};

std::optional<View> where(bool wanted, const View& view) {
  return wanted ? std::optional<View>(view) : std::nullopt;
}

struct Gradients {
  Tensor d_in, first, second;  // weight and bias, gain and bias, tokens and positions
};

void check_same(const char* name, const Tensor& got, const Tensor& expected) {
  INFO(name);
  CHECK(got.values() == expected.values());
}

Gradients linear(DType dtype, const Wanted& wanted) {
  const std::int64_t N = 130, K = 24, M = 40;
  const Tensor in = rounded_to(dtype, Tensor::random({N, K}, 1));
  const Tensor weight = rounded_to(dtype, Tensor::random({K, M}, 2));
  const Tensor d_out = rounded_to(dtype, Tensor::random({N, M}, 3));
  Gradients g{Tensor(dtype, {N, K}), Tensor::random({K, M}, 4), Tensor::random({M}, 5)};
  CudaRun run;
  const ConstView x = run.input(in), w = run.input(weight), d = run.input(d_out);
  const View d_in = run.output(g.d_in), d_weight = run.output(g.first);
  const View d_bias = run.output(g.second);
  run.op([&](ExecutionContext& ctx) {
    linear_backward(ctx, {.d_out = d,
                          .in = x,
                          .weight = w,
                          .d_in = d_in,
                          .d_weight = where(wanted.first, d_weight),
                          .d_bias = where(wanted.second, d_bias)});
  });
  run.finish();
  return g;
}

// columns: 768 go through registers, 65 row by row.
Gradients layernorm(DType dtype, std::int64_t columns, const Wanted& wanted) {
  const std::int64_t N = 37;
  const Tensor sum = rounded_to(dtype, Tensor::random({N, columns}, 1));
  const Tensor gain = rounded_to(dtype, Tensor::random({columns}, 2));
  const Tensor d_normed = rounded_to(dtype, Tensor::random({N, columns}, 3));
  const Tensor mean = Tensor::random({N}, 6), inv_std = Tensor::random({N}, 7);
  Gradients g{rounded_to(dtype, Tensor::random({N, columns}, 8)), Tensor::random({columns}, 4),
              Tensor::random({columns}, 5)};
  CudaRun run;
  const ConstView d = run.input(d_normed), s = run.input(sum), scale = run.input(gain);
  const ConstView means = run.input(mean), inv_stds = run.input(inv_std);
  const View d_sum = run.output(g.d_in), d_gain = run.output(g.first);
  const View d_bias = run.output(g.second);
  run.op([&](ExecutionContext& ctx) {
    residual_layernorm_backward(ctx, {.d_normed = d,
                                      .sum = s,
                                      .gain = scale,
                                      .mean = means,
                                      .inv_std = inv_stds,
                                      .d_sum = d_sum,
                                      .d_branch = d_sum,
                                      .d_gain = where(wanted.first, d_gain),
                                      .d_bias = where(wanted.second, d_bias)});
  });
  run.finish();
  return g;
}

Gradients embedding(DType dtype, const Wanted& wanted) {
  const std::int64_t B = 2, T = 9, C = 64, V = 23, P = 16;
  std::vector<std::int32_t> ids;
  for (std::int32_t n = 0; n < B * T; ++n) ids.push_back(n * n % static_cast<std::int32_t>(V));
  const Tensor tokens = Tensor::of({B, T}, ids);
  const Tensor d_out = rounded_to(dtype, Tensor::random({B, T, C}, 3));
  Gradients g{Tensor(dtype, {1}), Tensor::random({V, C}, 4), Tensor::random({P, C}, 5)};
  CudaRun run;
  const ConstView t = run.input(tokens), d = run.input(d_out);
  const View d_token = run.output(g.first), d_position = run.output(g.second);
  run.op([&](ExecutionContext& ctx) {
    embedding_backward(ctx, {.tokens = t,
                             .d_out = d,
                             .d_token_embedding = where(wanted.first, d_token),
                             .d_position_embedding = where(wanted.second, d_position)});
  });
  run.finish();
  return g;
}

// Against all gradients where one is wanted, and what was there before where not.
template <class Run>
void check_some(const Run& gradients_of, double bias_tolerance) {
  const Gradients all = gradients_of({true, true}), none = gradients_of({false, false});
  for (const Wanted& wanted : kSome) {
    INFO("first " << wanted.first << ", second " << wanted.second);
    const Gradients some = gradients_of(wanted);
    check_same("first", some.first, (wanted.first ? all : none).first);
    // Alone, a linear's bias gradient is summed by another kernel than beside the weight's.
    check_close("second", some.second, (wanted.second ? all : none).second.values(),
                bias_tolerance);
  }
  CHECK(none.first.values() != all.first.values());
}

}  // namespace

TEST_CASE("on CUDA a frozen weight or bias leaves the other gradients as they are",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for_each_precision([](DType dtype) {
    const auto gradients_of = [&](const Wanted& wanted) { return linear(dtype, wanted); };
    check_some(gradients_of, cuda_tolerance(DType::kFloat32, 130));
    const Gradients all = gradients_of({true, true}), none = gradients_of({false, false});
    check_same("d_in", none.d_in, all.d_in);
  });
}

TEST_CASE("on CUDA a frozen norm leaves the other gradients as they are", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for_each_precision([](DType dtype) {
    for (const std::int64_t columns : {65, 768}) {
      const auto gradients_of = [&](const Wanted& wanted) {
        return layernorm(dtype, columns, wanted);
      };
      check_some(gradients_of, 0.0);
      const Gradients all = gradients_of({true, true}), none = gradients_of({false, false});
      check_same("d_sum", none.d_in, all.d_in);
    }
  });
}

TEST_CASE("on CUDA a frozen embedding leaves the other as it is", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for_each_precision([](DType dtype) {
    check_some([&](const Wanted& wanted) { return embedding(dtype, wanted); }, 0.0);
  });
}

}  // namespace ovid::kernels
