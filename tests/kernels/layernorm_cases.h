#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <vector>

#include "kernels/layernorm/layernorm.h"
#include "kernels/layernorm/layernorm_reference.h"
#include "tests/kernels/op_checks.h"

// What layernorm_test.cpp compares: random operands, the ops run on them, and the references on
// vectors of double.
namespace ovid::kernels::test {

using Doubles = std::vector<double>;
inline constexpr double kEpsilon = 1e-5f;

struct Sizes {
  std::int64_t N, C;
};

inline Doubles zeros(std::int64_t count) {
  return Doubles(static_cast<std::size_t>(count), 0.0);
}

inline DropoutMask mask_of(float probability) {
  return {.probability = probability, .stream = {.seed = 99, .major = 5, .minor = 2}};
}

inline Doubles factors_of(const std::optional<DropoutMask>& mask, const Sizes& s) {
  Doubles factors;
  for (std::int64_t i = 0; i < s.N * s.C; ++i) {
    factors.push_back(mask ? mask->factor(static_cast<std::uint64_t>(i)) : 1.0);
  }
  return factors;
}

struct Forward {
  Doubles sum, normed, mean, inv_std;
};

inline Forward reference_forward(const Doubles& x, const Doubles& branch, const Doubles& factors,
                                 const Doubles& gain, const Doubles& bias, const Sizes& s) {
  Forward f{zeros(s.N * s.C), zeros(s.N * s.C), zeros(s.N), zeros(s.N)};
  reference::residual_layernorm_forward(x.data(), branch.data(), factors.data(), gain.data(),
                                        bias.data(), f.sum.data(), f.normed.data(), f.mean.data(),
                                        f.inv_std.data(), s.N, s.C, kEpsilon);
  return f;
}

struct Backward {
  Doubles d_sum, d_branch, d_gain, d_bias;
};

inline Backward reference_backward(const Doubles& d_normed, const Forward& f,
                                   const Doubles& factors, const Doubles& gain,
                                   const Doubles& d_sum, const Sizes& s) {
  Backward b{d_sum, zeros(s.N * s.C), zeros(s.C), zeros(s.C)};
  reference::residual_layernorm_backward(
      d_normed.data(), f.sum.data(), factors.data(), gain.data(), f.mean.data(), f.inv_std.data(),
      b.d_sum.data(), b.d_branch.data(), b.d_gain.data(), b.d_bias.data(), s.N, s.C);
  return b;
}

// Operands of one op; what accumulates begins with random values.
struct Layer {
  Sizes s;
  std::optional<DropoutMask> mask = std::nullopt;
  double center = 0.0;
  Tensor x = Tensor::random({s.N, s.C}, 31, 1.0, center);
  Tensor branch = Tensor::random({s.N, s.C}, 32);
  Tensor gain = Tensor::random({s.C}, 33, 0.5, 1.0);
  Tensor bias = Tensor::random({s.C}, 34);
  Tensor d_normed = Tensor::random({s.N, s.C}, 35);
  Tensor d_sum = Tensor::random({s.N, s.C}, 36);
  Tensor d_gain = Tensor::random({s.C}, 37);
  Tensor d_bias = Tensor::random({s.C}, 38);

  Tensor matrix() const { return {DType::kFloat32, {s.N, s.C}}; }
  Tensor column() const { return {DType::kFloat32, {s.N}}; }
  std::string name(const char* what) const {
    return fmt::format("residual_layernorm {} N={} C={}{}", what, s.N, s.C,
                       mask ? " with dropout" : "");
  }
};

// 0 sum, 1 normed, 2 mean, 3 inv_std, 4 d_sum, 5 d_branch, 6 d_gain, 7 d_bias
inline std::vector<Tensor> run_residual(const Layer& l, int threads = 2,
                                        GradientMode mode = GradientMode::kAccumulate) {
  std::vector<Tensor> r;
  r.push_back(l.matrix());
  r.push_back(l.matrix());
  r.push_back(l.column());
  r.push_back(l.column());
  for (const Tensor* start : {&l.d_sum, &l.d_normed, &l.d_gain, &l.d_bias}) r.push_back(*start);
  r[5] = l.matrix();
  run_op(threads, [&](ExecutionContext& ctx) {
    residual_layernorm_forward(ctx, {.x = l.x,
                                     .branch = l.branch,
                                     .gain = l.gain,
                                     .bias = l.bias,
                                     .sum = r[0],
                                     .normed = r[1],
                                     .mean = r[2],
                                     .inv_std = r[3],
                                     .branch_dropout = l.mask});
  });
  run_op(threads, [&](ExecutionContext& ctx) {
    residual_layernorm_backward(ctx, {.d_normed = l.d_normed,
                                      .sum = r[0],
                                      .gain = l.gain,
                                      .mean = r[2],
                                      .inv_std = r[3],
                                      .d_sum = r[4],
                                      .d_branch = r[5],
                                      .d_gain = r[6],
                                      .d_bias = r[7],
                                      .d_gain_mode = mode,
                                      .branch_dropout = l.mask});
  });
  return r;
}

// 0 out, 1 mean, 2 inv_std, 3 d_in, 4 d_gain, 5 d_bias
inline std::vector<Tensor> run_plain(const Layer& l, int threads = 2,
                                     GradientMode mode = GradientMode::kAccumulate) {
  std::vector<Tensor> r;
  r.push_back(l.matrix());
  r.push_back(l.column());
  r.push_back(l.column());
  r.push_back(l.matrix());
  r.push_back(l.d_gain);
  r.push_back(l.d_bias);
  run_op(threads, [&](ExecutionContext& ctx) {
    layernorm_forward(
        ctx,
        {.in = l.x, .gain = l.gain, .bias = l.bias, .out = r[0], .mean = r[1], .inv_std = r[2]});
  });
  run_op(threads, [&](ExecutionContext& ctx) {
    layernorm_backward(ctx, {.d_out = l.d_normed,
                             .in = l.x,
                             .gain = l.gain,
                             .mean = r[1],
                             .inv_std = r[2],
                             .d_in = r[3],
                             .d_gain = r[4],
                             .d_bias = r[5],
                             .d_gain_mode = mode});
  });
  return r;
}

}  // namespace ovid::kernels::test
