#pragma once

#include <cstdint>

// The formulas of linear.h in plain loops: the oracle of the tests, and the text to read first. W
// is (K, M); for the layout (M, K) pass strides (1, K) in place of (M, 1). GELU follows in
// gelu_reference.h.
namespace ovid::kernels::reference {

template <class Real>
struct LinearWeight {
  const Real* values;
  std::int64_t stride_in, stride_out;  // W_km = values[k * stride_in + m * stride_out]
};

template <class Real>
void linear_forward(const Real* in, const LinearWeight<Real>& weight, const Real* bias, Real* out,
                    std::int64_t N, std::int64_t K, std::int64_t M) {
  for (std::int64_t n = 0; n < N; ++n) {
    for (std::int64_t m = 0; m < M; ++m) {
      Real sum = bias != nullptr ? bias[m] : Real(0);
      for (std::int64_t k = 0; k < K; ++k) {
        sum += in[n * K + k] * weight.values[k * weight.stride_in + m * weight.stride_out];
      }
      out[n * M + m] = sum;  // (1)
    }
  }
}

// All gradients accumulate; d_weight has the strides of the weight; d_bias may be null.
template <class Real>
void linear_backward(const Real* d_out, const Real* in, const LinearWeight<Real>& weight,
                     Real* d_in, Real* d_weight, Real* d_bias, std::int64_t N, std::int64_t K,
                     std::int64_t M) {
  for (std::int64_t n = 0; n < N; ++n) {
    for (std::int64_t m = 0; m < M; ++m) {
      const Real d = d_out[n * M + m];
      for (std::int64_t k = 0; k < K; ++k) {
        const std::int64_t at = k * weight.stride_in + m * weight.stride_out;
        d_in[n * K + k] += d * weight.values[at];  // d_in = d_out W^T
        d_weight[at] += in[n * K + k] * d;         // d_W = in^T d_out
      }
      if (d_bias != nullptr) d_bias[m] += d;
    }
  }
}

}  // namespace ovid::kernels::reference
