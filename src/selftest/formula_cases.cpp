#include <algorithm>
#include <cmath>

#include "kernels/attention/attention_reference.h"
#include "kernels/common/random.h"
#include "kernels/gelu/gelu_reference.h"
#include "kernels/layernorm/layernorm_reference.h"
#include "kernels/linear/linear_reference.h"
#include "kernels/softmax_cross_entropy/softmax_cross_entropy_reference.h"
#include "src/selftest/cases.h"

namespace ovid::selftest {
namespace {

namespace reference = kernels::reference;

Doubles random_doubles(std::int64_t count, std::uint64_t seed) {
  Doubles values;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto words = kernels::philox4x32(seed, 0, static_cast<std::uint64_t>(i));
    values.push_back(2.0 * kernels::uniform_double(words[0], words[1]) - 1.0);
  }
  return values;
}

double dot(const Doubles& a, const Doubles& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// The step that balances truncation and cancellation of a central difference in double.
double gradient_error(const std::function<double(const Doubles&)>& f, Doubles x,
                      const Doubles& gradient) {
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double at = x[i], h = std::cbrt(0x1p-52) * std::max(1.0, std::abs(at));
    x[i] = at + h;
    const double above = f(x);
    x[i] = at - h;
    const double below = f(x);
    x[i] = at;
    const double difference = std::abs((above - below) / (2 * h) - gradient[i]);
    worst = std::max(worst, difference / std::max({1.0, std::abs(above), std::abs(gradient[i])}));
  }
  return worst;
}

double gelu_error() {
  const Doubles x = random_doubles(40, 1), d = random_doubles(40, 2);
  Doubles gradient(x.size());
  reference::gelu_backward(d.data(), x.data(), gradient.data(), 40);
  return gradient_error(
      [&](const Doubles& u) {
        Doubles out(u.size());
        reference::gelu_forward(u.data(), out.data(), 40);
        return dot(out, d);
      },
      x, gradient);
}

double layernorm_error() {
  constexpr std::int64_t N = 3, C = 11;
  const Doubles x = random_doubles(N * C, 3), d = random_doubles(N * C, 4);
  const Doubles gain = random_doubles(C, 5), bias = random_doubles(C, 6);
  const auto forward = [&](const Doubles& in, Doubles& mean, Doubles& inv_std) {
    Doubles out(in.size());
    reference::layernorm_forward(in.data(), gain.data(), bias.data(), out.data(), mean.data(),
                                 inv_std.data(), N, C, 1e-5);
    return out;
  };
  Doubles mean(N), inv_std(N), gradient(x.size()), d_gain(C), d_bias(C);
  forward(x, mean, inv_std);
  reference::layernorm_backward(d.data(), x.data(), gain.data(), mean.data(), inv_std.data(),
                                gradient.data(), d_gain.data(), d_bias.data(), N, C);
  return gradient_error([&](const Doubles& in) { return dot(forward(in, mean, inv_std), d); }, x,
                        gradient);
}

double linear_error() {
  constexpr std::int64_t N = 3, K = 5, M = 4;
  const Doubles x = random_doubles(N * K, 7), w = random_doubles(K * M, 8);
  const Doubles d = random_doubles(N * M, 9);
  Doubles d_in(x.size(), 0.0), d_weight(w.size(), 0.0);
  reference::linear_backward<double>(d.data(), x.data(), {w.data(), M, 1}, d_in.data(),
                                     d_weight.data(), nullptr, N, K, M);
  const auto value = [&](const Doubles& in, const Doubles& weight) {
    Doubles out(d.size());
    reference::linear_forward<double>(in.data(), {weight.data(), M, 1}, nullptr, out.data(), N, K,
                                      M);
    return dot(out, d);
  };
  return std::max(
      gradient_error([&](const Doubles& in) { return value(in, w); }, x, d_in),
      gradient_error([&](const Doubles& weight) { return value(x, weight); }, w, d_weight));
}

double attention_error() {
  constexpr std::int64_t T = 7, D = 4;
  const Doubles x = random_doubles(T * 3 * D, 10), d = random_doubles(T * D, 11);
  const auto head = [&](const Doubles& qkv) {
    return reference::AttentionHead<double>{
        qkv.data(), qkv.data() + D, qkv.data() + 2 * D, 3 * D, T, D, {}};
  };
  Doubles gradient(x.size());
  reference::attention_backward(head(x), d.data(), D, gradient.data(), gradient.data() + D,
                                gradient.data() + 2 * D);
  return gradient_error(
      [&](const Doubles& qkv) {
        Doubles out(d.size()), lse(T);
        reference::attention_forward(head(qkv), out.data(), D, lse.data());
        return dot(out, d);
      },
      x, gradient);
}

double cross_entropy_error() {
  constexpr std::int64_t V = 9;
  const Doubles x = random_doubles(V, 12);
  Doubles gradient(V);
  reference::cross_entropy_gradient(x.data(), 4, 1.0, gradient.data(), V);
  return gradient_error(
      [](const Doubles& logits) { return reference::cross_entropy_loss(logits.data(), 4, V); }, x,
      gradient);
}

}  // namespace

std::vector<FormulaCase> formula_cases() {
  return {{"gelu", gelu_error},
          {"layernorm", layernorm_error},
          {"linear", linear_error},
          {"attention", attention_error},
          {"softmax_cross_entropy", cross_entropy_error}};
}

std::vector<OpCase> op_cases() {
  std::vector<OpCase> all = row_cases();
  for (auto* more : {&product_cases, &optimizer_cases}) {
    for (OpCase& one : more()) all.push_back(std::move(one));
  }
  return all;
}

}  // namespace ovid::selftest
