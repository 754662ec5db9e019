#pragma once

#include <cmath>
#include <cstdint>

// The formulas of layernorm.h in plain loops: the oracle of the tests, and the text to read first.
// One row after the other; `factors` (N, C) is the dropout of the branch, 0 or 1 / (1 - p), or null
// where there is none.
namespace ovid::kernels::reference {

template <class Real>
void layernorm_forward(const Real* in, const Real* gain, const Real* bias, Real* out, Real* mean,
                       Real* inv_std, std::int64_t N, std::int64_t C, Real epsilon) {
  for (std::int64_t n = 0; n < N; ++n) {
    const Real* s = in + n * C;
    Real sum = 0, squares = 0;
    for (std::int64_t c = 0; c < C; ++c) sum += s[c];
    mean[n] = sum / Real(C);
    for (std::int64_t c = 0; c < C; ++c) squares += (s[c] - mean[n]) * (s[c] - mean[n]);
    inv_std[n] = 1 / std::sqrt(squares / Real(C) + epsilon);
    for (std::int64_t c = 0; c < C; ++c)
      out[n * C + c] = gain[c] * (s[c] - mean[n]) * inv_std[n] + bias[c];  // (2)
  }
}

// With z = (s - mean) r and g = d_n gain: d_s = r (g - average(g) - z average(g z)). d_in is
// overwritten, d_gain and d_bias accumulate.
template <class Real>
void layernorm_backward(const Real* d_out, const Real* in, const Real* gain, const Real* mean,
                        const Real* inv_std, Real* d_in, Real* d_gain, Real* d_bias, std::int64_t N,
                        std::int64_t C) {
  for (std::int64_t n = 0; n < N; ++n) {
    const Real *s = in + n * C, *d = d_out + n * C;
    const Real r = inv_std[n];
    Real average_g = 0, average_gz = 0;
    for (std::int64_t c = 0; c < C; ++c) {
      const Real z = (s[c] - mean[n]) * r;
      d_bias[c] += d[c];
      d_gain[c] += d[c] * z;
      average_g += d[c] * gain[c] / Real(C);
      average_gz += d[c] * gain[c] * z / Real(C);
    }
    for (std::int64_t c = 0; c < C; ++c) {
      const Real z = (s[c] - mean[n]) * r;
      d_in[n * C + c] = r * (d[c] * gain[c] - average_g - z * average_gz);
    }
  }
}

template <class Real>
void residual_layernorm_forward(const Real* x, const Real* branch, const Real* factors,
                                const Real* gain, const Real* bias, Real* sum, Real* normed,
                                Real* mean, Real* inv_std, std::int64_t N, std::int64_t C,
                                Real epsilon) {
  for (std::int64_t i = 0; i < N * C; ++i) {
    sum[i] = x[i] + (factors != nullptr ? factors[i] : Real(1)) * branch[i];  // (1)
  }
  layernorm_forward(sum, gain, bias, normed, mean, inv_std, N, C, epsilon);
}

// d_sum holds the gradient through the other readers of s, and then the whole one; d_branch is
// overwritten and serves as scratch for the norm's part before that.
template <class Real>
void residual_layernorm_backward(const Real* d_normed, const Real* sum, const Real* factors,
                                 const Real* gain, const Real* mean, const Real* inv_std,
                                 Real* d_sum, Real* d_branch, Real* d_gain, Real* d_bias,
                                 std::int64_t N, std::int64_t C) {
  layernorm_backward(d_normed, sum, gain, mean, inv_std, d_branch, d_gain, d_bias, N, C);
  for (std::int64_t i = 0; i < N * C; ++i) {
    d_sum[i] += d_branch[i];
    d_branch[i] = (factors != nullptr ? factors[i] : Real(1)) * d_sum[i];
  }
}

}  // namespace ovid::kernels::reference
