#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "kernels/adamw/adamw.h"
#include "kernels/adamw/adamw_reference.h"
#include "kernels/adamw/adamw_rounding.h"
#include "kernels/gradient_norm/gradient_norm.h"
#include "kernels/gradient_norm/gradient_norm_reference.h"
#include "kernels/moving_average/moving_average.h"
#include "kernels/moving_average/moving_average_reference.h"
#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"
#include "kernels/softmax_cross_entropy/softmax_cross_entropy_reference.h"
#include "src/selftest/cases.h"

namespace ovid::selftest {
namespace {

using kernels::ConstView;
using kernels::ExecutionContext;
namespace reference = kernels::reference;

std::int64_t elements_of(Size size) {
  return size == Size::kSmall ? 1003 : 768 * 768;
}

void check_cross_entropy(Bench& bench, Size size) {
  const std::int64_t N = size == Size::kSmall ? 5 : 8, V = size == Size::kSmall ? 101 : 50257;
  std::vector<std::int32_t> ids;
  for (std::int64_t n = 0; n < N; ++n) ids.push_back(static_cast<std::int32_t>(n * 37 % V));
  ids.back() = kernels::kIgnoreTarget;
  const auto logits = bench.random({N, V}, 5.0);
  const auto targets = bench.integers({N}, ids);
  const auto losses = bench.unwritten(DType::kFloat32, {N});
  // Gradients of the size of probabilities are below the smallest numbers of float16 without it.
  const float scale = 1024.0f;
  bench.run([&](ExecutionContext& ctx) {
    softmax_cross_entropy(ctx,
                          {.logits = logits, .targets = targets, .losses = losses, .scale = scale});
  });
  Doubles e_losses, e_gradient(logits.values.size());
  for (std::int64_t n = 0; n < N; ++n) {
    const double* row = logits.values.data() + n * V;
    const std::int32_t target = ids[static_cast<std::size_t>(n)];
    e_losses.push_back(reference::cross_entropy_loss(row, target, V));
    reference::cross_entropy_gradient(row, target, static_cast<double>(scale),
                                      e_gradient.data() + n * V, V);
  }
  // Exponentials of arguments up to 10.
  const double limit = 40 * 0x1p-23;
  bench.compare("losses", losses, e_losses, rounding_limit(DType::kFloat32, V) + limit);
  bench.compare("d_logits", logits, e_gradient, rounding_limit(bench.dtype(), V) + limit);
}

void check_gradient_norm(Bench& bench, Size size) {
  const std::int64_t n = elements_of(size);
  const auto gradient = bench.random({n});
  const auto sum = bench.unwritten(DType::kFloat64, {});
  const auto scale = bench.unwritten(DType::kFloat32, {});
  const double clip = 2.0;
  bench.run([&](ExecutionContext& ctx) {
    gradient_norm(
        ctx, {.gradient = gradient, .sum_of_squares = sum, .clip_scale = scale.view, .clip = clip});
  });
  const double expected = reference::sum_of_squares(gradient.values.data(), n);
  bench.compare("sum_of_squares", sum, {expected}, rounding_limit(DType::kFloat32, n));
  bench.compare("clip_scale", scale, {std::min(1.0, clip / std::sqrt(expected))},
                rounding_limit(DType::kFloat32, n));
}

void check_adamw(Bench& bench, Size size) {
  const std::int64_t n = elements_of(size);
  const auto weight = bench.random_float32({n}), gradient = bench.random({n});
  const auto m = bench.random_float32({n}), v = bench.random_float32({n}, 0.5, 0.5);
  const auto scale = bench.random_float32({}, 0.0, 0.5);
  const auto rounded = bench.unwritten({n});
  kernels::AdamWTensor tensor{.weight = weight,
                              .gradient = gradient.view,
                              .first_moment = m,
                              .second_moment = v,
                              .weight_decay = 0.1};
  if (bench.dtype() != DType::kFloat32) tensor.rounded = rounded.view;
  bench.run([&](ExecutionContext& ctx) {
    adamw_update(ctx, {.tensors = std::span(&tensor, 1),
                       .gradient_scale_on_device = scale.view,
                       .learning_rate = 0.01,
                       .beta1 = 0.9,
                       .beta2 = 0.95,
                       .epsilon = 1e-8,
                       .step = 3});
  });
  Doubles e_weight = weight.values, e_m = m.values, e_v = v.values;
  reference::adamw_update(e_weight.data(), gradient.values.data(), e_m.data(), e_v.data(), n,
                          {.gradient_scale = 0.5,
                           .learning_rate = 0.01,
                           .beta1 = 0.9,
                           .beta2 = 0.95,
                           .epsilon = 1e-8,
                           .weight_decay = 0.1,
                           .step = 3});
  bench.compare("first_moment", m, e_m, rounding_limit(DType::kFloat32, 1));
  bench.compare("second_moment", v, e_v, rounding_limit(DType::kFloat32, 1));
  bench.compare("weight", weight, e_weight, rounding_limit(DType::kFloat32, 1));
  if (tensor.rounded) {
    bench.compare("rounded", rounded, bench.read(weight), unit_roundoff(bench.dtype()));
  }
}

// An update with moments in float32, then the same with moments in bfloat16, which must be the
// first ones rounded by the words that are theirs: all bits.
void check_adamw_bfloat16_moments(Bench& bench, Size size) {
  const std::int64_t n = elements_of(size);
  const kernels::RandomStream stream{
      .seed = 5, .use = kernels::RandomUse::kRounding, .major = 3, .minor = 1};
  const auto gradient = bench.random({n});
  const auto weight = bench.zeros(DType::kFloat32, {n}), other = bench.zeros(DType::kFloat32, {n});
  const auto m = bench.zeros(DType::kFloat32, {n}), v = bench.zeros(DType::kFloat32, {n});
  const auto m16 = bench.zeros(DType::kBfloat16, {n}), v16 = bench.zeros(DType::kBfloat16, {n});
  const auto update = [&](ExecutionContext& ctx, const Bench::Operand& w,
                          const Bench::Operand& first, const Bench::Operand& second) {
    const kernels::AdamWTensor tensor{.weight = w,
                                      .gradient = gradient.view,
                                      .first_moment = first,
                                      .second_moment = second,
                                      .weight_decay = 0.1,
                                      .first_index = 4};
    adamw_update(ctx, {.tensors = std::span(&tensor, 1),
                       .learning_rate = 0.01,
                       .beta1 = 0.9,
                       .beta2 = 0.999,
                       .epsilon = 1e-8,
                       .step = 3,
                       .moment_rounding = stream});
  };
  bench.run([&](ExecutionContext& ctx) {
    update(ctx, weight, m, v);
    update(ctx, other, m16, v16);
  });
  const auto rounded = [&](const Bench::Operand& exact, auto round) {
    Doubles values = bench.read(exact);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::uint32_t word = kernels::rounding_word(stream, 4 + i);
      const std::uint32_t bits = round(word, static_cast<float>(values[i]));
      values[i] = static_cast<double>(std::bit_cast<float>(bits << 16));
    }
    return values;
  };
  bench.compare("first_moment", m16, rounded(m, kernels::round_first_moment), 0.0);
  bench.compare("second_moment", v16, rounded(v, kernels::round_second_moment), 0.0);
  bench.compare("weight", other, bench.read(weight), 0.0);
}

void check_moving_average(Bench& bench, Size size) {
  const std::int64_t n = elements_of(size);
  const auto value = bench.random_float32({n}), average = bench.random_float32({n});
  const float decay = 0.75f;
  bench.run([&](ExecutionContext& ctx) {
    moving_average_update(ctx, {.value = value, .average = average, .decay = decay});
  });
  Doubles expected = average.values;
  reference::moving_average_update(value.values.data(), expected.data(), n,
                                   static_cast<double>(decay));
  bench.compare("average", average, expected, rounding_limit(DType::kFloat32, 1));
}

}  // namespace

std::vector<OpCase> optimizer_cases() {
  return {{"softmax_cross_entropy", check_cross_entropy},
          {"gradient_norm", check_gradient_norm},
          {"adamw", check_adamw},
          {"adamw, bfloat16 moments", check_adamw_bfloat16_moments},
          {"moving_average", check_moving_average, true}};
}

}  // namespace ovid::selftest
