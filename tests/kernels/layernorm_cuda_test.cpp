#include <cstring>

#include "tests/catch.h"
#include "tests/kernels/cuda_checks.h"
#include "tests/kernels/layernorm_cases.h"

namespace ovid::kernels {

using namespace ovid::kernels::test;

namespace {

// The operands of `layer` in one precision, what the ops make of them on the device, and the
// reference in double from the very numbers that each op read.
struct DeviceLayer {
  const Layer& l;
  DType dtype;
  DType gradient_dtype;
  GradientMode mode = GradientMode::kAccumulate;
  Tensor x = rounded_to(dtype, l.x), branch = rounded_to(dtype, l.branch);
  Tensor gain = rounded_to(dtype, l.gain), bias = rounded_to(dtype, l.bias);
  Tensor d_normed = rounded_to(dtype, l.d_normed);
  Tensor sum{dtype, l.x.shape()}, normed{dtype, l.x.shape()};
  Tensor mean = l.column(), inv_std = l.column();
  Tensor d_sum = rounded_to(dtype, l.d_sum), d_branch{dtype, l.x.shape()};
  Tensor d_gain = rounded_to(gradient_dtype, l.d_gain);
  Tensor d_bias = rounded_to(gradient_dtype, l.d_bias);

  // The same bits in every run; what is accumulated begins anew.
  void run_residual() {
    d_sum = rounded_to(dtype, l.d_sum);
    d_gain = rounded_to(gradient_dtype, l.d_gain);
    d_bias = rounded_to(gradient_dtype, l.d_bias);
    CudaRun run;
    const ConstView in = run.input(x), added = run.input(branch);
    const ConstView g = run.input(gain), b = run.input(bias), d_out = run.input(d_normed);
    const View s = run.output(sum), n = run.output(normed);
    const View m = run.output(mean), r = run.output(inv_std);
    const View d_s = run.output(d_sum), d_b = run.output(d_branch);
    const View d_g = run.output(d_gain), d_c = run.output(d_bias);
    run.op([&](ExecutionContext& ctx) {
      residual_layernorm_forward(ctx, {.x = in,
                                       .branch = added,
                                       .gain = g,
                                       .bias = b,
                                       .sum = s,
                                       .normed = n,
                                       .mean = m,
                                       .inv_std = r,
                                       .branch_dropout = l.mask});
      residual_layernorm_backward(ctx, {.d_normed = d_out,
                                        .sum = s,
                                        .gain = g,
                                        .mean = m,
                                        .inv_std = r,
                                        .d_sum = d_s,
                                        .d_branch = d_b,
                                        .d_gain = d_g,
                                        .d_bias = d_c,
                                        .d_gain_mode = mode,
                                        .branch_dropout = l.mask});
    });
    run.finish();
  }

  // The norm alone: normed, mean and inv_std of x, d_branch for d_in.
  void run_plain() {
    d_gain = rounded_to(gradient_dtype, l.d_gain);
    d_bias = rounded_to(gradient_dtype, l.d_bias);
    CudaRun run;
    const ConstView in = run.input(x), g = run.input(gain), b = run.input(bias);
    const ConstView d_out = run.input(d_normed);
    const View n = run.output(normed), m = run.output(mean), r = run.output(inv_std);
    const View d_in = run.output(d_branch), d_g = run.output(d_gain), d_c = run.output(d_bias);
    run.op([&](ExecutionContext& ctx) {
      layernorm_forward(ctx, {.in = in, .gain = g, .bias = b, .out = n, .mean = m, .inv_std = r});
      layernorm_backward(ctx, {.d_out = d_out,
                               .in = in,
                               .gain = g,
                               .mean = m,
                               .inv_std = r,
                               .d_in = d_in,
                               .d_gain = d_g,
                               .d_bias = d_c,
                               .d_gain_mode = mode});
    });
    run.finish();
  }

  std::string name(const char* what) const {
    return l.name(what) + " " + name_of(dtype) + ", gradients " + name_of(gradient_dtype);
  }
  // Sums of C in float; inv_std enters the normed values once, and the averages of the backward
  // pass: three bounds of one sum.
  double row_tolerance() const { return cuda_tolerance(dtype, l.s.C) + 2 * tolerance_of_sum(); }
  double tolerance_of_sum() const { return tolerance(DType::kFloat32, l.s.C); }
  double gradient_tolerance() const { return cuda_tolerance(gradient_dtype, l.s.N); }
};

Doubles gradient_of(const DeviceLayer& d, const Tensor& start, const Doubles& sums) {
  Doubles expected = sums;
  if (d.mode == GradientMode::kAccumulate) {
    const Doubles before = rounded_to(d.gradient_dtype, start).values();
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += before[i];
  }
  return expected;
}

// `sums`: of which the norm was taken; d_sum: what reaches it otherwise.
void check_against_reference(const DeviceLayer& d, const Doubles& sums, const Doubles& d_sum,
                             bool residual) {
  const Sizes& s = d.l.s;
  const Doubles factors = residual ? factors_of(d.l.mask, s) : factors_of(std::nullopt, s);
  Forward f{sums, zeros(s.N * s.C), zeros(s.N), zeros(s.N)};
  const Doubles gain = d.gain.values(), bias = d.bias.values();
  reference::layernorm_forward(sums.data(), gain.data(), bias.data(), f.normed.data(),
                               f.mean.data(), f.inv_std.data(), s.N, s.C, kEpsilon);
  check_close(d.name("normed"), d.normed, f.normed, d.row_tolerance());
  check_close(d.name("mean"), d.mean, f.mean, d.tolerance_of_sum());
  check_close(d.name("inv_std"), d.inv_std, f.inv_std, d.tolerance_of_sum());
  f.mean = d.mean.values();
  f.inv_std = d.inv_std.values();
  const Backward b = reference_backward(d.d_normed.values(), f, factors, gain, d_sum, s);
  if (residual) check_close(d.name("d_sum"), d.d_sum, b.d_sum, d.row_tolerance());
  check_close(d.name("d_branch"), d.d_branch, b.d_branch, d.row_tolerance());
  check_close(d.name("d_gain"), d.d_gain, gradient_of(d, d.l.d_gain, b.d_gain),
              d.gradient_tolerance());
  check_close(d.name("d_bias"), d.d_bias, gradient_of(d, d.l.d_bias, b.d_bias),
              d.gradient_tolerance());
}

void check_residual(const Layer& l, DType dtype, DType gradient_dtype, GradientMode mode) {
  DeviceLayer d{l, dtype, gradient_dtype, mode};
  d.run_residual();
  const Doubles factors = factors_of(l.mask, l.s);
  Doubles sums = d.x.values();
  const Doubles branch = d.branch.values();
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += factors[i] * branch[i];
  check_close(d.name("sum"), d.sum, sums, cuda_tolerance(dtype, 1));
  check_against_reference(d, d.sum.values(), rounded_to(dtype, l.d_sum).values(), true);
}

void check_plain(const Layer& l, DType dtype, DType gradient_dtype, GradientMode mode) {
  DeviceLayer d{l, dtype, gradient_dtype, mode};
  d.run_plain();
  check_against_reference(d, d.x.values(), zeros(l.s.N * l.s.C), false);
}

// Both kinds of gradients, one accumulated and one overwritten.
void check_layer(const Layer& l, DType dtype) {
  check_residual(l, dtype, DType::kFloat32, GradientMode::kAccumulate);
  if (dtype != DType::kFloat32) check_residual(l, dtype, dtype, GradientMode::kOverwrite);
}

}  // namespace

TEST_CASE("layernorm on CUDA agrees with its reference at odd sizes", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for_each_precision([](DType dtype) {
    for (const Sizes& s :
         {Sizes{2, 7}, Sizes{5, 63}, Sizes{15, 64}, Sizes{17, 65}, Sizes{33, 100}}) {
      check_layer({s}, dtype);
      check_residual({s, mask_of(0.3f)}, dtype, DType::kFloat32, GradientMode::kOverwrite);
      check_plain({s}, dtype, DType::kFloat32, GradientMode::kAccumulate);
    }
  });
}

TEST_CASE("layernorm on CUDA agrees with its reference at the widths of GPT-2", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for_each_precision([](DType dtype) {
    for (const std::int64_t C : {768, 1024, 1600}) {
      check_layer({{5, C}}, dtype);
      check_residual({{3, C}, mask_of(0.1f)}, dtype, DType::kFloat32, GradientMode::kAccumulate);
    }
    check_plain({{5, 768}}, dtype, DType::kFloat32, GradientMode::kOverwrite);
  });
}

TEST_CASE("layernorm on CUDA keeps rows of 4096 columns in registers and reads longer ones again",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for (const DType dtype : {DType::kFloat32, DType::kBfloat16}) {
    for (const std::int64_t C : {2049, 4096, 4097, 8192}) {
      check_residual({{3, C}, mask_of(0.2f)}, dtype, DType::kFloat32, GradientMode::kAccumulate);
    }
  }
  check_plain({{2, 5000}}, DType::kFloat16, DType::kFloat16, GradientMode::kAccumulate);
  // About 0.5, so that the mean is no small rest of a sum.
  check_plain({{1, 65536}, std::nullopt, 0.5}, DType::kBfloat16, DType::kFloat32,
              GradientMode::kOverwrite);
}

TEST_CASE("layernorm on CUDA adds gradients over many blocks of rows", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  // So many that each of the 512 blocks takes more than 128, and each warp of it reads the
  // statistics of its rows, 32 at a time, more than once.
  check_plain({{512 * 128 + 1, 8}}, DType::kBfloat16, DType::kFloat32, GradientMode::kAccumulate);
  check_plain({{600, 24}}, DType::kFloat32, DType::kFloat32, GradientMode::kAccumulate);
}

TEST_CASE("layernorm on CUDA keeps its digits where the mean is large beside the deviations",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  // As on the CPU (layernorm_test.cpp): what remains is the rounding of the mean.
  for (const double center : {1e3, 1e6}) {
    const Layer l{{4, 768}, std::nullopt, center};
    DeviceLayer d{l, DType::kFloat32, DType::kFloat32};
    d.run_plain();
    Doubles out = zeros(4 * 768), mean = zeros(4), inv_std = zeros(4);
    reference::layernorm_forward(l.x.values().data(), l.gain.values().data(),
                                 l.bias.values().data(), out.data(), mean.data(), inv_std.data(), 4,
                                 std::int64_t{768}, kEpsilon);
    check_close("layernorm mean", d.mean, mean, 0x1p-24);
    check_close("layernorm inv_std", d.inv_std, inv_std, tolerance(DType::kFloat32, 768));
    check_close("layernorm out", d.normed, out,
                tolerance(DType::kFloat32, 768) + 0x1p-24 * center / 0.57 * 1.5);
  }
}

TEST_CASE("layernorm on CUDA takes aliased and unaligned operands", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  const Layer l{{9, 72}};
  for_each_precision([&](DType dtype) {
    DeviceLayer apart{l, dtype, DType::kFloat32};
    apart.run_residual();
    DeviceLayer d{l, dtype, DType::kFloat32};
    // x and branch give way to sum and normed, d_sum is d_branch too; and all begin two elements
    // behind an aligned place.
    const auto shifted = [](const Tensor& from) {
      Tensor to(from.dtype(), {from.view().elements() + 2});
      std::memcpy(static_cast<char*>(to.view().raw()) + 2 * bytes_of(from.dtype()),
                  from.view().raw(),
                  static_cast<std::size_t>(from.view().elements()) * bytes_of(from.dtype()));
      return to;
    };
    Tensor x = shifted(d.x), branch = shifted(d.branch), d_sum = shifted(d.d_sum);
    {
      CudaRun run;
      const auto behind_lead = [&](const View& view) {
        return View(static_cast<char*>(view.raw()) + 2 * bytes_of(dtype), dtype, l.x.shape());
      };
      const View s = behind_lead(run.output(x)), n = behind_lead(run.output(branch));
      const View d_s = behind_lead(run.output(d_sum));
      const ConstView g = run.input(d.gain), b = run.input(d.bias), d_out = run.input(d.d_normed);
      const View m = run.output(d.mean), r = run.output(d.inv_std);
      const View d_g = run.output(d.d_gain), d_b = run.output(d.d_bias);
      run.op([&](ExecutionContext& ctx) {
        residual_layernorm_forward(ctx, {.x = s,
                                         .branch = n,
                                         .gain = g,
                                         .bias = b,
                                         .sum = s,
                                         .normed = n,
                                         .mean = m,
                                         .inv_std = r});
        residual_layernorm_backward(ctx, {.d_normed = d_out,
                                          .sum = s,
                                          .gain = g,
                                          .mean = m,
                                          .inv_std = r,
                                          .d_sum = d_s,
                                          .d_branch = d_s,
                                          .d_gain = d_g,
                                          .d_bias = d_b});
      });
      run.finish();
    }
    // Rows that are not aligned are summed in another order: two roundings of each number.
    const auto check = [&](const char* what, const Tensor& in_place, const Tensor& expected) {
      Doubles values = in_place.values();
      if (values.size() > expected.values().size())
        values.erase(values.begin(), values.begin() + 2);
      check_close(apart.name(what), expected, values, 2 * apart.row_tolerance());
    };
    check("sum", x, apart.sum);
    check("normed", branch, apart.normed);
    check("d_sum", d_sum, apart.d_sum);
    check("d_gain", d.d_gain, apart.d_gain);
    check("d_bias", d.d_bias, apart.d_bias);
  });
}

TEST_CASE("layernorm on CUDA gives the same bits twice", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  const Layer l{{70, 136}, mask_of(0.2f)};
  DeviceLayer first{l, DType::kBfloat16, DType::kFloat32}, second = first;
  first.run_residual();
  second.run_residual();
  CHECK(first.normed.same_bits(second.normed));
  CHECK(first.d_branch.same_bits(second.d_branch));
  CHECK(first.d_gain.same_bits(second.d_gain));
  CHECK(first.d_bias.same_bits(second.d_bias));
}

}  // namespace ovid::kernels
