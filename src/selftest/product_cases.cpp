#include <algorithm>
#include <cmath>

#include "kernels/attention/attention.h"
#include "kernels/attention/attention_reference.h"
#include "kernels/common/errors.h"
#include "kernels/cuda/device.h"
#include "kernels/gelu/gelu_reference.h"
#include "kernels/linear/linear.h"
#include "kernels/linear/linear_reference.h"
#include "src/selftest/cases.h"

namespace ovid::selftest {
namespace {

using kernels::ConstView;
using kernels::DropoutMask;
using kernels::ExecutionContext;
using kernels::GradientMode;
using kernels::WeightLayout;
using kernels::cuda::AttentionKernels;
namespace cuda = kernels::cuda;
namespace reference = kernels::reference;

struct ProductSize {
  std::int64_t N, K, M;
};
ProductSize product_size(Size size) {
  return size == Size::kSmall ? ProductSize{13, 40, 70} : ProductSize{64, 768, 2304};
}

reference::LinearWeight<double> weight_of(const Doubles& values, WeightLayout layout,
                                          const ProductSize& s) {
  return layout == WeightLayout::kInOut ? reference::LinearWeight<double>{values.data(), s.M, 1}
                                        : reference::LinearWeight<double>{values.data(), 1, s.K};
}

void check_linear(Bench& bench, Size size, WeightLayout layout, bool row_independent) {
  const ProductSize s = product_size(size);
  const Shape weight_shape = layout == WeightLayout::kInOut ? Shape{s.K, s.M} : Shape{s.M, s.K};
  const auto in = bench.random({s.N, s.K}), weight = bench.random(weight_shape);
  const auto bias = bench.random({s.M}), d_out = bench.random({s.N, s.M});
  const auto out = bench.unwritten({s.N, s.M}), d_in = bench.unwritten({s.N, s.K});
  const auto d_weight = bench.random_float32(weight_shape), d_bias = bench.random_float32({s.M});
  bench.run([&](ExecutionContext& ctx) {
    linear_forward(ctx, {.in = in,
                         .weight = weight,
                         .bias = bias.view,
                         .out = out,
                         .layout = layout,
                         .row_independent = row_independent});
    linear_backward(ctx, {.d_out = d_out,
                          .in = in,
                          .weight = weight,
                          .d_in = d_in.view,
                          .d_weight = d_weight,
                          .d_bias = d_bias.view,
                          .layout = layout});
  });
  Doubles e_out(out.values.size()), e_in(in.values.size(), 0.0);
  Doubles e_weight = d_weight.values, e_bias = d_bias.values;
  const auto w = weight_of(weight.values, layout, s);
  reference::linear_forward(in.values.data(), w, bias.values.data(), e_out.data(), s.N, s.K, s.M);
  reference::linear_backward(d_out.values.data(), in.values.data(), w, e_in.data(), e_weight.data(),
                             e_bias.data(), s.N, s.K, s.M);
  bench.compare("out", out, e_out, rounding_limit(bench.dtype(), s.K));
  bench.compare("d_in", d_in, e_in, rounding_limit(bench.dtype(), s.M));
  bench.compare("d_weight", d_weight, e_weight, rounding_limit(DType::kFloat32, s.N));
  bench.compare("d_bias", d_bias, e_bias, rounding_limit(DType::kFloat32, s.N));
}

void check_linear_gelu(Bench& bench, Size size) {
  const ProductSize s = product_size(size);
  // Products of K terms of size 1/3 have the spread of sqrt(K) / 3: weights that keep u near 1.
  const double spread = 3.0 / std::sqrt(static_cast<double>(s.K));
  const auto in = bench.random({s.N, s.K}), weight = bench.random({s.K, s.M}, spread);
  const auto bias = bench.random({s.M}), d_out = bench.random({s.N, s.M});
  const auto before = bench.unwritten({s.N, s.M}), out = bench.unwritten({s.N, s.M});
  const auto d_before = bench.unwritten({s.N, s.M}), d_in = bench.unwritten({s.N, s.K});
  const auto d_weight = bench.unwritten(DType::kFloat32, {s.K, s.M});
  const auto d_bias = bench.unwritten(DType::kFloat32, {s.M});
  bench.run([&](ExecutionContext& ctx) {
    linear_gelu_forward(ctx,
                        {.in = in, .weight = weight, .bias = bias, .before = before, .out = out});
    linear_gelu_backward(ctx, {.d_out = d_out,
                               .in = in,
                               .weight = weight,
                               .before = before,
                               .d_before = d_before,
                               .d_in = d_in,
                               .d_weight = d_weight,
                               .d_bias = d_bias,
                               .d_weight_mode = GradientMode::kOverwrite});
  });
  const auto w = weight_of(weight.values, WeightLayout::kInOut, s);
  Doubles e_before(before.values.size()), e_out(out.values.size());
  reference::linear_forward(in.values.data(), w, bias.values.data(), e_before.data(), s.N, s.K,
                            s.M);
  bench.compare("before", before, e_before, rounding_limit(bench.dtype(), s.K));
  reference::gelu_forward(e_before.data(), e_out.data(), s.N * s.M);
  // The activation is taken of u before or after u is rounded for the backward pass.
  const double gelu_limit =
      rounding_limit(bench.dtype(), s.K) + 40 * 0x1p-23 +
      (bench.dtype() == DType::kFloat32 ? 0 : 2 * unit_roundoff(bench.dtype()));
  bench.compare("out", out, e_out, gelu_limit);
  // From here on with what was stored.
  const Doubles u = bench.read(before);
  Doubles e_d_before(u.size()), e_in(in.values.size(), 0.0);
  reference::gelu_backward(d_out.values.data(), u.data(), e_d_before.data(), s.N * s.M);
  bench.compare("d_before", d_before, e_d_before, rounding_limit(bench.dtype(), 1) + 40 * 0x1p-23);
  const Doubles d_u = bench.read(d_before);
  Doubles e_weight(d_weight.values.size(), 0.0), e_bias(s.M, 0.0);
  reference::linear_backward(d_u.data(), in.values.data(), w, e_in.data(), e_weight.data(),
                             e_bias.data(), s.N, s.K, s.M);
  bench.compare("d_in", d_in, e_in, rounding_limit(bench.dtype(), s.M));
  bench.compare("d_weight", d_weight, e_weight, rounding_limit(DType::kFloat32, s.N));
  // The bias gradient may be summed before d_before is rounded: N roundings of random sign.
  bench.compare("d_bias", d_bias, e_bias,
                rounding_limit(DType::kFloat32, s.N) +
                    (bench.dtype() == DType::kFloat32 ? 0 : 6 * unit_roundoff(bench.dtype())));
}

struct AttentionSize {
  std::int64_t B, T, H, D;
  std::int64_t C() const { return H * D; }
};

reference::AttentionHead<double> head_of(const AttentionSize& s, const Doubles& qkv,
                                         std::int64_t head,
                                         const std::optional<DropoutMask>& mask) {
  const std::int64_t b = head / s.H, h = head % s.H, row = 3 * s.C();
  const double* q = qkv.data() + b * s.T * row + h * s.D;
  reference::AttentionHead<double> result{q, q + s.C(), q + 2 * s.C(), row, s.T, s.D, {}};
  if (mask) {
    result.dropout_factors = reference::attention_dropout_factors<double>(*mask, head, s.T);
  }
  return result;
}

// Probabilities are rounded to the number type before they weigh values of at most 1. Their sum is
// at most `weights`, so the result is off by at most that many units, however small it is itself.
double attention_limit(const Bench& bench, std::int64_t terms, double weights,
                       const Doubles& expected) {
  double squares = 0;
  for (const double x : expected) squares += x * x;
  const double size = std::sqrt(squares / static_cast<double>(expected.size()));
  const double narrow =
      bench.dtype() == DType::kFloat32 ? 0 : unit_roundoff(bench.dtype()) * weights / size;
  return narrow + rounding_limit(bench.dtype(), terms) + 64 * 0x1p-24;
}

// So are probabilities and the gradients of scores before they weigh. Six standard deviations of
// errors of a unit over sqrt(3) each are 3.5 times the root of the sum of the terms' squares, which
// is up to 7 times the root mean square of all results: the first positions, to which nearly every
// query adds, have gradients as much larger than the rest.
double attention_gradient_limit(const Bench& bench, std::int64_t terms) {
  const double narrow = bench.dtype() == DType::kFloat32 ? 0 : 24 * unit_roundoff(bench.dtype());
  return narrow + rounding_limit(bench.dtype(), terms) + 64 * 0x1p-24;
}

// The device's choice for as long as this lives; without a device, nothing.
class ChosenAttention {
 public:
  ChosenAttention(cuda::Device* device, AttentionKernels kernels)
      : device_(device), before_(device == nullptr ? kernels : device->attention()) {
    if (device_ != nullptr) device_->choose_attention(kernels);
  }
  ~ChosenAttention() {
    if (device_ != nullptr) device_->choose_attention(before_);
  }
  ChosenAttention(const ChosenAttention&) = delete;
  ChosenAttention& operator=(const ChosenAttention&) = delete;

 private:
  cuda::Device* device_;
  AttentionKernels before_;
};

bool has_naive_attention(const memory::ComputeTarget& target, DType) {
  return target.device != nullptr;
}

bool has_cudnn_attention(const memory::ComputeTarget& target, DType dtype) {
  if (target.device == nullptr || dtype == DType::kFloat32) return false;
  try {
    const ChosenAttention chosen(target.device, AttentionKernels::kCudnn);
    return true;
  } catch (const kernels::DeviceError&) {
    return false;
  }
}

void check_attention(Bench& bench, Size size, bool drops,
                     AttentionKernels kernels = AttentionKernels::kFlash) {
  const AttentionSize s =
      size == Size::kSmall ? AttentionSize{2, 77, 2, 64} : AttentionSize{1, 512, 4, 64};
  std::optional<DropoutMask> mask;
  if (drops) mask = DropoutMask{.probability = 0.1f, .stream = {.seed = 5, .major = 1, .minor = 2}};
  const std::int64_t C = s.C();
  const auto qkv = bench.random({s.B, s.T, 3 * C}), d_out = bench.random({s.B, s.T, C});
  const auto out = bench.unwritten({s.B, s.T, C}), d_qkv = bench.unwritten({s.B, s.T, 3 * C});
  const auto lse = bench.unwritten(DType::kFloat32, {s.B, s.H, s.T});
  bench.run([&](ExecutionContext& ctx) {
    const ChosenAttention chosen(ctx.device(), kernels);
    attention_forward(ctx,
                      {.qkv = qkv, .out = out, .log_sum_exp = lse, .heads = s.H, .dropout = mask});
    attention_backward(ctx, {.d_out = d_out,
                             .qkv = qkv,
                             .out = out,
                             .log_sum_exp = lse,
                             .d_qkv = d_qkv,
                             .heads = s.H,
                             .dropout = mask});
  });
  Doubles e_out(out.values.size()), e_lse(lse.values.size()), e_qkv(qkv.values.size());
  for (std::int64_t head = 0; head < s.B * s.H; ++head) {
    const auto operands = head_of(s, qkv.values, head, mask);
    const std::int64_t at = head / s.H * s.T * C + head % s.H * s.D;
    reference::attention_forward(operands, e_out.data() + at, C, e_lse.data() + head * s.T);
    double* d_q = e_qkv.data() + head / s.H * s.T * 3 * C + head % s.H * s.D;
    reference::attention_backward(operands, d_out.values.data() + at, C, d_q, d_q + C, d_q + 2 * C);
  }
  const double weights = mask ? static_cast<double>(mask->keep_scale()) : 1.0;
  bench.compare("out", out, e_out, attention_limit(bench, s.T, weights, e_out));
  bench.compare("log_sum_exp", lse, e_lse, rounding_limit(DType::kFloat32, s.T) + 64 * 0x1p-24);
  bench.compare("d_qkv", d_qkv, e_qkv, attention_gradient_limit(bench, s.T));
}

// New rows of three sequences at different positions, over caches that hold the positions before.
void check_cached_attention(Bench& bench, Size size) {
  const std::int64_t H = 2, D = 64, C = H * D, P = size == Size::kSmall ? 40 : 600, S = 3;
  const std::vector<std::int32_t> sequences{0, 1, 1, 2};
  const std::vector<std::int32_t> positions{0, 5, 6, static_cast<std::int32_t>(P - 1)};
  const auto N = static_cast<std::int64_t>(sequences.size());
  const auto qkv = bench.random({N, 3 * C});
  const auto keys = bench.random({S, P, C}), values = bench.random({S, P, C});
  const auto rows = bench.integers({N}, sequences), places = bench.integers({N}, positions);
  const auto out = bench.unwritten({N, C});
  bench.run([&](ExecutionContext& ctx) {
    cached_attention_forward(ctx, {.qkv = qkv,
                                   .sequences = rows,
                                   .positions = places,
                                   .keys = keys,
                                   .values = values,
                                   .out = out,
                                   .heads = H});
  });
  // Each row is the last one of an attention over its sequence so far.
  Doubles k = keys.values, v = values.values, expected;
  const auto put = [&](Doubles& cache, std::size_t n, std::int64_t part) {
    for (std::int64_t c = 0; c < C; ++c) {
      cache[static_cast<std::size_t>((sequences[n] * P + positions[n]) * C + c)] =
          qkv.values[n * static_cast<std::size_t>(3 * C) + static_cast<std::size_t>(part * C + c)];
    }
  };
  for (std::size_t n = 0; n < sequences.size(); ++n) {
    put(k, n, 1);
    put(v, n, 2);
  }
  for (std::size_t n = 0; n < sequences.size(); ++n) {
    const std::int64_t T = positions[n] + 1;
    for (std::int64_t h = 0; h < H; ++h) {
      Doubles q(static_cast<std::size_t>(T * C), 0.0), row(static_cast<std::size_t>(T * D));
      const double* query = qkv.values.data() + n * static_cast<std::size_t>(3 * C) + h * D;
      std::copy_n(query, D, q.data() + (T - 1) * C);
      const std::int64_t at = sequences[n] * P * C + h * D;
      Doubles lse(static_cast<std::size_t>(T));
      reference::attention_forward<double>({q.data(), k.data() + at, v.data() + at, C, T, D, {}},
                                           row.data(), D, lse.data());
      expected.insert(expected.end(), row.end() - D, row.end());
    }
  }
  bench.compare("out", out, expected, attention_limit(bench, P, 1.0, expected));
  bench.compare("keys", keys, k, 1e-300);
  bench.compare("values", values, v, 1e-300);
}

}  // namespace

std::vector<OpCase> product_cases() {
  const auto linear = [](WeightLayout layout, bool row_independent) {
    return [=](Bench& bench, Size size) { check_linear(bench, size, layout, row_independent); };
  };
  const auto attention = [](bool drops) {
    return [=](Bench& bench, Size size) { check_attention(bench, size, drops); };
  };
  return {{"linear", linear(WeightLayout::kInOut, false)},
          {"linear (head)", linear(WeightLayout::kOutIn, false)},
          {"linear (decoding)", linear(WeightLayout::kInOut, true)},
          {"linear_gelu", check_linear_gelu},
          {"attention", attention(false)},
          {"attention (dropout)", attention(true)},
          {"attention (naive)",
           [](Bench& bench, Size size) {
             check_attention(bench, size, true, AttentionKernels::kNaive);
           },
           false, has_naive_attention},
          {"attention (cudnn)",
           [](Bench& bench, Size size) {
             check_attention(bench, size, false, AttentionKernels::kCudnn);
           },
           false, has_cudnn_attention},
          {"cached_attention", check_cached_attention}};
}

}  // namespace ovid::selftest
