#include "kernels/convert/convert.h"
#include "kernels/convert/convert_reference.h"
#include "kernels/dropout/dropout.h"
#include "kernels/dropout/dropout_reference.h"
#include "kernels/embedding/embedding.h"
#include "kernels/embedding/embedding_reference.h"
#include "kernels/gelu/gelu.h"
#include "kernels/gelu/gelu_reference.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/layernorm/layernorm_reference.h"
#include "src/selftest/cases.h"

namespace ovid::selftest {
namespace {

using kernels::DropoutMask;
using kernels::ExecutionContext;
using kernels::GradientMode;
namespace reference = kernels::reference;

struct Rows {
  std::int64_t N, C;
};
Rows rows_of(Size size) {
  return size == Size::kSmall ? Rows{13, 100} : Rows{256, 768};
}

const DropoutMask kMask{.probability = 0.2f, .stream = {.seed = 7, .major = 3, .minor = 1}};

void check_embedding(Bench& bench, Size size) {
  const bool small = size == Size::kSmall;
  const std::int64_t B = small ? 2 : 4, T = small ? 7 : 64, C = rows_of(size).C;
  const std::int64_t V = small ? 11 : 1000;
  std::vector<std::int32_t> ids;
  for (std::int64_t n = 0; n < B * T; ++n) ids.push_back(static_cast<std::int32_t>(n * n % V));
  const auto tokens = bench.integers({B, T}, ids);
  const auto token_rows = bench.random({V, C}), position_rows = bench.random({T, C});
  const auto d_out = bench.random({B, T, C});
  const auto out = bench.unwritten({B, T, C});
  const auto d_tokens = bench.random_float32({V, C}), d_positions = bench.random_float32({T, C});
  bench.run([&](ExecutionContext& ctx) {
    embedding_forward(ctx, {.tokens = tokens,
                            .token_embedding = token_rows,
                            .position_embedding = position_rows,
                            .out = out});
    embedding_backward(ctx, {.tokens = tokens,
                             .d_out = d_out,
                             .d_token_embedding = d_tokens,
                             .d_position_embedding = d_positions});
  });
  Doubles expected(out.values.size());
  reference::embedding_forward(ids.data(), nullptr, token_rows.values.data(),
                               position_rows.values.data(), expected.data(), B, T, C);
  bench.compare("out", out, expected, rounding_limit(bench.dtype(), 1));
  Doubles token_sums = d_tokens.values, position_sums = d_positions.values;
  reference::embedding_backward(ids.data(), nullptr, d_out.values.data(), token_sums.data(),
                                position_sums.data(), B, T, C);
  bench.compare("d_token_embedding", d_tokens, token_sums, rounding_limit(DType::kFloat32, B * T));
  bench.compare("d_position_embedding", d_positions, position_sums,
                rounding_limit(DType::kFloat32, B));
}

void check_layernorm(Bench& bench, Size size) {
  const auto [N, C] = rows_of(size);
  const auto in = bench.random({N, C}, 2.0, 0.5), gain = bench.random({C}, 0.5, 1.0);
  const auto bias = bench.random({C}), d_out = bench.random({N, C});
  const auto out = bench.unwritten({N, C}), d_in = bench.unwritten({N, C});
  const auto mean = bench.unwritten(DType::kFloat32, {N});
  const auto inv_std = bench.unwritten(DType::kFloat32, {N});
  const auto d_gain = bench.unwritten(DType::kFloat32, {C});
  const auto d_bias = bench.unwritten(DType::kFloat32, {C});
  bench.run([&](ExecutionContext& ctx) {
    layernorm_forward(
        ctx, {.in = in, .gain = gain, .bias = bias, .out = out, .mean = mean, .inv_std = inv_std});
    layernorm_backward(ctx, {.d_out = d_out,
                             .in = in,
                             .gain = gain,
                             .mean = mean,
                             .inv_std = inv_std,
                             .d_in = d_in,
                             .d_gain = d_gain,
                             .d_bias = d_bias,
                             .d_gain_mode = GradientMode::kOverwrite});
  });
  Doubles e_out(in.values.size()), e_mean(N), e_inv(N), e_in(in.values.size());
  Doubles e_gain(C, 0.0), e_bias(C, 0.0);
  reference::layernorm_forward(in.values.data(), gain.values.data(), bias.values.data(),
                               e_out.data(), e_mean.data(), e_inv.data(), N, C, 1e-5);
  reference::layernorm_backward(d_out.values.data(), in.values.data(), gain.values.data(),
                                e_mean.data(), e_inv.data(), e_in.data(), e_gain.data(),
                                e_bias.data(), N, C);
  bench.compare("mean", mean, e_mean, rounding_limit(DType::kFloat32, C));
  bench.compare("inv_std", inv_std, e_inv, rounding_limit(DType::kFloat32, C));
  bench.compare("out", out, e_out, rounding_limit(bench.dtype(), C));
  bench.compare("d_in", d_in, e_in, rounding_limit(bench.dtype(), C));
  bench.compare("d_gain", d_gain, e_gain, rounding_limit(DType::kFloat32, N + C));
  bench.compare("d_bias", d_bias, e_bias, rounding_limit(DType::kFloat32, N));
}

Doubles factors_of(const DropoutMask& mask, std::int64_t count) {
  Doubles factors;
  for (std::int64_t i = 0; i < count; ++i) {
    factors.push_back(mask.factor(static_cast<std::uint64_t>(i)));
  }
  return factors;
}

void check_residual_layernorm(Bench& bench, Size size) {
  const auto [N, C] = rows_of(size);
  const auto x = bench.random({N, C}, 2.0), branch = bench.random({N, C});
  const auto gain = bench.random({C}, 0.5, 1.0), bias = bench.random({C});
  const auto sum = bench.unwritten({N, C}), normed = bench.unwritten({N, C});
  const auto mean = bench.unwritten(DType::kFloat32, {N});
  const auto inv_std = bench.unwritten(DType::kFloat32, {N});
  const auto d_normed = bench.random({N, C}), d_sum = bench.random({N, C});
  const auto d_branch = bench.unwritten({N, C});
  const auto d_gain = bench.random_float32({C}), d_bias = bench.random_float32({C});
  bench.run([&](ExecutionContext& ctx) {
    residual_layernorm_forward(ctx, {.x = x,
                                     .branch = branch,
                                     .gain = gain,
                                     .bias = bias,
                                     .sum = sum,
                                     .normed = normed,
                                     .mean = mean,
                                     .inv_std = inv_std,
                                     .branch_dropout = kMask});
    residual_layernorm_backward(ctx, {.d_normed = d_normed,
                                      .sum = sum,
                                      .gain = gain,
                                      .mean = mean,
                                      .inv_std = inv_std,
                                      .d_sum = d_sum,
                                      .d_branch = d_branch,
                                      .d_gain = d_gain,
                                      .d_bias = d_bias,
                                      .branch_dropout = kMask});
  });
  const Doubles factors = factors_of(kMask, N * C);
  Doubles e_sum(x.values.size()), e_normed(x.values.size()), e_mean(N), e_inv(N);
  reference::residual_layernorm_forward(x.values.data(), branch.values.data(), factors.data(),
                                        gain.values.data(), bias.values.data(), e_sum.data(),
                                        e_normed.data(), e_mean.data(), e_inv.data(), N, C, 1e-5);
  bench.compare("sum", sum, e_sum, rounding_limit(bench.dtype(), 1));
  // What follows reads the stored sum, rounded.
  const Doubles stored = bench.read(sum);
  reference::layernorm_forward(stored.data(), gain.values.data(), bias.values.data(),
                               e_normed.data(), e_mean.data(), e_inv.data(), N, C, 1e-5);
  bench.compare("normed", normed, e_normed, rounding_limit(bench.dtype(), C));
  Doubles e_d_sum = d_sum.values, e_branch(x.values.size());
  Doubles e_gain = d_gain.values, e_bias = d_bias.values;
  reference::residual_layernorm_backward(
      d_normed.values.data(), stored.data(), factors.data(), gain.values.data(), e_mean.data(),
      e_inv.data(), e_d_sum.data(), e_branch.data(), e_gain.data(), e_bias.data(), N, C);
  bench.compare("d_sum", d_sum, e_d_sum, rounding_limit(bench.dtype(), C));
  bench.compare("d_branch", d_branch, e_branch, rounding_limit(bench.dtype(), C));
  bench.compare("d_gain", d_gain, e_gain, rounding_limit(DType::kFloat32, N + C));
  bench.compare("d_bias", d_bias, e_bias, rounding_limit(DType::kFloat32, N));
}

void check_gelu(Bench& bench, Size size) {
  const auto [N, C] = rows_of(size);
  const auto in = bench.random({N, C}, 5.0), d_out = bench.random({N, C});
  const auto out = bench.unwritten({N, C}), d_in = bench.unwritten({N, C});
  bench.run([&](ExecutionContext& ctx) {
    gelu_forward(ctx, {.in = in, .out = out});
    gelu_backward(ctx, {.d_out = d_out, .in = in, .d_in = d_in});
  });
  Doubles e_out(in.values.size()), e_in(in.values.size());
  reference::gelu_forward(in.values.data(), e_out.data(), N * C);
  reference::gelu_backward(d_out.values.data(), in.values.data(), e_in.data(), N * C);
  // The exponential of an argument up to 16 errs by 2 + 16 units of 2^-23, the quotient by 2.
  const double limit = rounding_limit(bench.dtype(), 1) + 40 * 0x1p-23;
  bench.compare("out", out, e_out, limit);
  bench.compare("d_in", d_in, e_in, limit);
}

void check_dropout(Bench& bench, Size size) {
  const auto [N, C] = rows_of(size);
  const auto in = bench.random({N, C}), d_out = bench.random({N, C});
  const auto out = bench.unwritten({N, C}), d_in = bench.unwritten({N, C});
  bench.run([&](ExecutionContext& ctx) {
    dropout_forward(ctx, {.in = in, .out = out, .mask = kMask});
    dropout_backward(ctx, {.d_out = d_out, .d_in = d_in, .mask = kMask});
  });
  Doubles e_out(in.values.size()), e_in(in.values.size());
  reference::dropout_forward(in.values.data(), e_out.data(), N * C, kMask);
  reference::dropout_backward(d_out.values.data(), e_in.data(), N * C, kMask);
  bench.compare("out", out, e_out, rounding_limit(bench.dtype(), 1));
  bench.compare("d_in", d_in, e_in, rounding_limit(bench.dtype(), 1));
}

// To the bench's number type and back; both are exact or rounded once, so nothing may differ.
void check_convert(Bench& bench, Size size) {
  const auto [N, C] = rows_of(size);
  const std::int64_t n = N * C + 3;
  const auto in = bench.random_float32({n}, 1000.0);
  const auto narrow = bench.unwritten(bench.dtype(), {n});
  const auto wide = bench.unwritten(DType::kFloat32, {n});
  bench.run([&](ExecutionContext& ctx) {
    convert(ctx, {.in = in, .out = narrow});
    convert(ctx, {.in = narrow, .out = wide});
  });
  Doubles expected = in.values;
  for (double& x : expected) {
    if (bench.dtype() == DType::kBfloat16) x = reference::round_to(reference::kBfloat16Format, x);
    if (bench.dtype() == DType::kFloat16) x = reference::round_to(reference::kFloat16Format, x);
  }
  bench.compare("rounded", narrow, expected, 1e-300);
  bench.compare("widened", wide, expected, 1e-300);
}

}  // namespace

std::vector<OpCase> row_cases() {
  return {{"embedding", check_embedding},
          {"layernorm", check_layernorm},
          {"residual_layernorm", check_residual_layernorm},
          {"gelu", check_gelu},
          {"dropout", check_dropout},
          {"convert", check_convert}};
}

}  // namespace ovid::selftest
