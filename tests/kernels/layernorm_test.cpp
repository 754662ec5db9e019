#include "kernels/layernorm/layernorm.h"

#include <cmath>

#include "tests/catch.h"
#include "tests/kernels/layernorm_cases.h"

namespace ovid::kernels {

using namespace ovid::kernels::test;

namespace {

Doubles added(Doubles a, const Doubles& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  return a;
}

void check_residual(const Layer& l) {
  const Sizes& s = l.s;
  const Doubles factors = factors_of(l.mask, s);
  const std::vector<Tensor> r = run_residual(l);
  Forward f = reference_forward(l.x.values(), l.branch.values(), factors, l.gain.values(),
                                l.bias.values(), s);
  check_close(l.name("sum"), r[0], f.sum, tolerance(DType::kFloat32, 1));
  check_close(l.name("normed"), r[1], f.normed, tolerance(DType::kFloat32, s.C));
  check_close(l.name("mean"), r[2], f.mean, tolerance(DType::kFloat32, s.C));
  check_close(l.name("inv_std"), r[3], f.inv_std, tolerance(DType::kFloat32, s.C));
  // From the op's own sum, mean and r: their errors have been checked.
  f = {r[0].values(), r[1].values(), r[2].values(), r[3].values()};
  const Backward b =
      reference_backward(l.d_normed.values(), f, factors, l.gain.values(), l.d_sum.values(), s);
  check_close(l.name("d_sum"), r[4], b.d_sum, tolerance(DType::kFloat32, s.C));
  check_close(l.name("d_branch"), r[5], b.d_branch, tolerance(DType::kFloat32, s.C));
  check_close(l.name("d_gain"), r[6], added(b.d_gain, l.d_gain.values()),
              tolerance(DType::kFloat32, s.N));
  check_close(l.name("d_bias"), r[7], added(b.d_bias, l.d_bias.values()),
              tolerance(DType::kFloat32, s.N));
}

void check_plain(const Layer& l) {
  const Sizes& s = l.s;
  const std::vector<Tensor> r = run_plain(l);
  const Doubles x = l.x.values(), gain = l.gain.values(), d_out = l.d_normed.values();
  Doubles out = zeros(s.N * s.C), mean = zeros(s.N), inv_std = zeros(s.N), d_in = out;
  Doubles d_gain = l.d_gain.values(), d_bias = l.d_bias.values();
  reference::layernorm_forward(x.data(), gain.data(), l.bias.values().data(), out.data(),
                               mean.data(), inv_std.data(), s.N, s.C, kEpsilon);
  check_close("layernorm_forward out", r[0], out, tolerance(DType::kFloat32, s.C));
  mean = r[1].values();
  inv_std = r[2].values();
  reference::layernorm_backward(d_out.data(), x.data(), gain.data(), mean.data(), inv_std.data(),
                                d_in.data(), d_gain.data(), d_bias.data(), s.N, s.C);
  check_close("layernorm_backward d_in", r[3], d_in, tolerance(DType::kFloat32, s.C));
  check_close("layernorm_backward d_gain", r[4], d_gain, tolerance(DType::kFloat32, s.N));
  check_close("layernorm_backward d_bias", r[5], d_bias, tolerance(DType::kFloat32, s.N));
}

}  // namespace

TEST_CASE("layernorm's reference gradients match finite differences, with and without dropout",
          "[kernels]") {
  const Sizes s{3, 6};
  const Doubles x = random_doubles(18, 1), branch = random_doubles(18, 2),
                gain = random_doubles(6, 3);
  const Doubles bias = random_doubles(6, 4), d_normed = random_doubles(18, 5),
                d_sum = random_doubles(18, 6);
  for (const std::optional<DropoutMask>& mask :
       {std::optional<DropoutMask>(), std::optional(mask_of(0.4f))}) {
    const Doubles factors = factors_of(mask, s);
    // The sum has another reader with gradient d_sum.
    const auto loss = [&](const Doubles& at_x, const Doubles& at_branch, const Doubles& at_gain,
                          const Doubles& at_bias) {
      const Forward f = reference_forward(at_x, at_branch, factors, at_gain, at_bias, s);
      return dot(f.normed, d_normed) + dot(f.sum, d_sum);
    };
    const Backward b = reference_backward(
        d_normed, reference_forward(x, branch, factors, gain, bias, s), factors, gain, d_sum, s);
    check_gradient(
        "layernorm d_x", [&](const Doubles& v) { return loss(v, branch, gain, bias); }, x, b.d_sum);
    check_gradient(
        "layernorm d_branch", [&](const Doubles& v) { return loss(x, v, gain, bias); }, branch,
        b.d_branch);
    check_gradient(
        "layernorm d_gain", [&](const Doubles& v) { return loss(x, branch, v, bias); }, gain,
        b.d_gain);
    check_gradient(
        "layernorm d_bias", [&](const Doubles& v) { return loss(x, branch, gain, v); }, bias,
        b.d_bias);
  }
}

TEST_CASE("layernorm agrees with its reference at odd sizes on each instruction set",
          "[kernels][cpu]") {
  for_each_instruction_set([] {
    for (const Sizes& s :
         {Sizes{2, 7}, Sizes{5, 15}, Sizes{17, 16}, Sizes{33, 17}, Sizes{130, 50}}) {
      check_plain({s});
      check_residual({s});
      check_residual({s, mask_of(0.3f)});
    }
  });
}

TEST_CASE("layernorm agrees with its reference at the widths of GPT-2", "[kernels][cpu]") {
  for (const std::int64_t C : {768, 1024, 1280, 1600}) {
    check_plain({{9, C}});
    check_residual({{9, C}, mask_of(0.1f)});
  }
}

TEST_CASE("layernorm keeps its digits where the mean is large beside the deviations",
          "[kernels][cpu]") {
  // x = center + [-1, 1), with a standard deviation of 0.58. One pass over squares would lose all
  // digits of it, and two passes with an uncorrected mean some at a million. What remains is the
  // rounding of the mean itself, 2^-24 center, over that deviation and times a gain of up to 1.5.
  for_each_instruction_set([] {
    for (const double center : {1e3, 1e6}) {
      const std::int64_t C = 768;
      const Layer l{{4, C}, std::nullopt, center};
      const std::vector<Tensor> r = run_plain(l);
      Doubles out = zeros(4 * C), mean = zeros(4), inv_std = zeros(4);
      reference::layernorm_forward(l.x.values().data(), l.gain.values().data(),
                                   l.bias.values().data(), out.data(), mean.data(), inv_std.data(),
                                   4, C, kEpsilon);
      check_close("layernorm mean", r[1], mean, 0x1p-24);
      check_close("layernorm inv_std", r[2], inv_std, tolerance(DType::kFloat32, C));
      check_close("layernorm out", r[0], out,
                  tolerance(DType::kFloat32, C) + 0x1p-24 * center / 0.57 * 1.5);
    }
  });
}

TEST_CASE("a row of equal values is normalised to the bias", "[kernels][cpu]") {
  Layer l{{2, 100}};
  l.x = Tensor::filled({2, 100}, 3.5f);
  const std::vector<Tensor> r = run_plain(l);
  Doubles expected = l.bias.values();
  expected.insert(expected.end(), expected.begin(), expected.begin() + 100);
  check_close("layernorm of equal values", r[0], expected, 0.0);
}

TEST_CASE("layernorm of one to three columns loses no more than cancels", "[kernels][cpu]") {
  // d_in = r (g - average(g) - z average(g z)) nearly vanishes for few columns: its error is
  // relative to the terms, of which |g| <= 1.5, |average(g)| <= 1.5 and |z average(g z)| <= 1.5
  // sqrt(C). With one column r = 1 / sqrt(epsilon).
  for_each_instruction_set([] {
    for (const std::int64_t C : {1, 2, 3}) {
      const Layer l{{1, C}};
      const std::vector<Tensor> r = run_plain(l);
      const Forward f{l.x.values(), {}, r[1].values(), r[2].values()};
      const Backward b = reference_backward(l.d_normed.values(), f, Doubles(3, 1.0),
                                            l.gain.values(), zeros(C), l.s);
      const double terms = f.inv_std[0] * 1.5 * (2.0 + std::sqrt(static_cast<double>(C)));
      for (std::int64_t c = 0; c < C; ++c) {
        INFO("C=" << C << " column " << c);
        CHECK(std::abs(r[3].values()[c] - b.d_sum[c]) <= tolerance(DType::kFloat32, C) * terms);
      }
      if (C == 1) check_close("layernorm of one column", r[0], l.bias.values(), 0.0);
    }
  });
}

TEST_CASE("layernorm's operands may alias as its contract says", "[kernels][cpu]") {
  const Layer l{{20, 70}}, dropped{{20, 70}, mask_of(0.5f)};
  for (const Layer* layer : {&l, &dropped}) {
    const std::vector<Tensor> apart = run_residual(*layer);
    Tensor x(layer->x), branch(layer->branch), mean = l.column(), inv_std = l.column();
    run_op(2, [&](ExecutionContext& ctx) {
      residual_layernorm_forward(ctx, {.x = x,
                                       .branch = branch,
                                       .gain = l.gain,
                                       .bias = l.bias,
                                       .sum = x,
                                       .normed = branch,
                                       .mean = mean,
                                       .inv_std = inv_std,
                                       .branch_dropout = layer->mask});
    });
    CHECK(x.same_bits(apart[0]));
    CHECK(branch.same_bits(apart[1]));
    Tensor d_branch(l.d_normed), d_sum(l.d_sum), d_gain(l.d_gain), d_bias(l.d_bias);
    run_op(2, [&](ExecutionContext& ctx) {
      residual_layernorm_backward(ctx, {.d_normed = d_branch,
                                        .sum = x,
                                        .gain = l.gain,
                                        .mean = mean,
                                        .inv_std = inv_std,
                                        .d_sum = d_sum,
                                        .d_branch = d_branch,
                                        .d_gain = d_gain,
                                        .d_bias = d_bias,
                                        .branch_dropout = layer->mask});
    });
    CHECK(d_sum.same_bits(apart[4]));
    CHECK(d_branch.same_bits(apart[5]));
    CHECK(d_gain.same_bits(apart[6]));
  }
  // Without dropout d_branch may be d_sum itself.
  const std::vector<Tensor> apart = run_residual(l);
  Tensor d_sum(l.d_sum), d_gain(l.d_gain), d_bias(l.d_bias);
  run_op(2, [&](ExecutionContext& ctx) {
    residual_layernorm_backward(ctx, {.d_normed = l.d_normed,
                                      .sum = apart[0],
                                      .gain = l.gain,
                                      .mean = apart[2],
                                      .inv_std = apart[3],
                                      .d_sum = d_sum,
                                      .d_branch = d_sum,
                                      .d_gain = d_gain,
                                      .d_bias = d_bias});
  });
  CHECK(d_sum.same_bits(apart[4]));
  const std::vector<Tensor> plain = run_plain(l);
  Tensor d_in(l.d_normed), plain_d_gain(l.d_gain), plain_d_bias(l.d_bias);
  run_op(2, [&](ExecutionContext& ctx) {
    layernorm_backward(ctx, {.d_out = d_in,
                             .in = l.x,
                             .gain = l.gain,
                             .mean = plain[1],
                             .inv_std = plain[2],
                             .d_in = d_in,
                             .d_gain = plain_d_gain,
                             .d_bias = plain_d_bias});
  });
  CHECK(d_in.same_bits(plain[3]));
}

TEST_CASE("layernorm's parameter gradients overwrite where asked to", "[kernels][cpu]") {
  const Layer used{{130, 50}, mask_of(0.3f)};
  Layer fresh = used;
  fresh.d_gain = Tensor::zeros(DType::kFloat32, {50});
  fresh.d_bias = Tensor::zeros(DType::kFloat32, {50});
  for (const auto run : {run_residual, run_plain}) {
    const std::vector<Tensor> overwritten = run(used, 2, GradientMode::kOverwrite);
    const std::vector<Tensor> accumulated = run(fresh, 2, GradientMode::kAccumulate);
    for (std::size_t i = 0; i < overwritten.size(); ++i) {
      CHECK(overwritten[i].same_bits(accumulated[i]));
    }
  }
}

TEST_CASE("layernorm has equal bits on every number of threads", "[kernels][cpu]") {
  const Layer l{{1030, 33}, mask_of(0.2f)};
  check_same_bits_on_threads("residual_layernorm",
                             [&](int threads) { return run_residual(l, threads); });
  check_same_bits_on_threads("layernorm", [&](int threads) { return run_plain(l, threads); });
}

TEST_CASE("layernorm names the operand that does not fit", "[kernels]") {
  const Layer l{{3, 8}, mask_of(0.5f)};
  Tensor out = l.matrix(), rows = l.column(), narrow(DType::kFloat32, {3, 7}),
         long_rows(DType::kFloat32, {4});
  Tensor d_gain(l.d_gain), d_bias(l.d_bias);
  CHECK(shape_error_of([&](ExecutionContext& ctx) {
          layernorm_forward(ctx, {.in = l.x,
                                  .gain = l.gain,
                                  .bias = l.bias,
                                  .out = narrow,
                                  .mean = rows,
                                  .inv_std = rows});
        }).find("layernorm_forward: out is float32 (3, 7)") == 0);
  CHECK(shape_error_of([&](ExecutionContext& ctx) {
          layernorm_forward(ctx, {.in = l.x,
                                  .gain = l.gain,
                                  .bias = l.bias,
                                  .out = out,
                                  .mean = long_rows,
                                  .inv_std = rows});
        }).find("layernorm_forward: mean is float32 (4)") == 0);
  CHECK(shape_error_of([&](ExecutionContext& ctx) {
          layernorm_forward(ctx, {.in = l.x,
                                  .gain = l.gain,
                                  .bias = l.bias,
                                  .out = out,
                                  .mean = rows,
                                  .inv_std = rows,
                                  .epsilon = 0.0f});
        }).find("layernorm_forward: epsilon") == 0);
  CHECK(shape_error_of([&](ExecutionContext& ctx) {
          residual_layernorm_backward(ctx, {.d_normed = l.d_normed,
                                            .sum = l.x,
                                            .gain = l.gain,
                                            .mean = rows,
                                            .inv_std = rows,
                                            .d_sum = out,
                                            .d_branch = out,
                                            .d_gain = d_gain,
                                            .d_bias = d_bias,
                                            .branch_dropout = l.mask});
        }).find("residual_layernorm_backward: d_branch aliases d_sum") == 0);
}

}  // namespace ovid::kernels
