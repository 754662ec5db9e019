#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/common/dropout_mask.h"

// The formulas of attention.h in plain loops that do store the T x T matrix: the oracle of the
// tests, and the text to read first.
namespace ovid::kernels::reference {

// One sequence and head: q, k, v of T rows and D columns inside rows of `stride` numbers.
template <class Real>
struct AttentionHead {
  const Real* q;
  const Real* k;
  const Real* v;
  std::int64_t stride;
  std::int64_t T, D;
  // z_ij in row i and column j: 0 or 1 / (1 - p); empty without dropout.
  std::vector<Real> dropout_factors;

  Real factor(std::int64_t i, std::int64_t j) const {
    return dropout_factors.empty() ? Real(1) : dropout_factors[static_cast<std::size_t>(i * T + j)];
  }
};

// The factors of head `index` = b H + h, as attention.h numbers them.
template <class Real>
std::vector<Real> attention_dropout_factors(const DropoutMask& mask, std::int64_t index,
                                            std::int64_t T) {
  std::vector<Real> factors(static_cast<std::size_t>(T * T));
  for (std::int64_t i = 0; i < T; ++i) {
    for (std::int64_t j = 0; j < T; ++j) {
      const std::int64_t element = (index * T + i) * 4 * ((T + 3) / 4) + j;
      factors[static_cast<std::size_t>(i * T + j)] =
          static_cast<Real>(mask.factor(static_cast<std::uint64_t>(element)));
    }
  }
  return factors;
}

// (1) and (2): the matrix P (T, T) and log_sum_exp (T).
template <class Real>
std::vector<Real> attention_probabilities(const AttentionHead<Real>& head, Real* log_sum_exp) {
  const std::int64_t T = head.T;
  const Real scale = Real(1) / std::sqrt(static_cast<Real>(head.D));
  std::vector<Real> P(static_cast<std::size_t>(T * T), Real(0));
  for (std::int64_t i = 0; i < T; ++i) {
    Real* row = P.data() + i * T;
    for (std::int64_t j = 0; j <= i; ++j) {
      Real score = 0;
      for (std::int64_t c = 0; c < head.D; ++c) {
        score += head.q[i * head.stride + c] * head.k[j * head.stride + c];
      }
      row[j] = score * scale;
    }
    Real largest = row[0];
    for (std::int64_t j = 1; j <= i; ++j) largest = row[j] > largest ? row[j] : largest;
    Real sum = 0;
    for (std::int64_t j = 0; j <= i; ++j) sum += std::exp(row[j] - largest);
    log_sum_exp[i] = largest + std::log(sum);
    for (std::int64_t j = 0; j <= i; ++j) row[j] = std::exp(row[j] - largest) / sum;
  }
  return P;
}

// (3): out in rows of out_stride numbers.
template <class Real>
void attention_forward(const AttentionHead<Real>& head, Real* out, std::int64_t out_stride,
                       Real* log_sum_exp) {
  const std::vector<Real> P = attention_probabilities(head, log_sum_exp);
  for (std::int64_t i = 0; i < head.T; ++i) {
    for (std::int64_t c = 0; c < head.D; ++c) {
      Real sum = 0;
      for (std::int64_t j = 0; j <= i; ++j) {
        sum += head.factor(i, j) * P[static_cast<std::size_t>(i * head.T + j)] *
               head.v[j * head.stride + c];
      }
      out[i * out_stride + c] = sum;
    }
  }
}

// The adjoint of (3), then of the softmax (2), then of (1). d_q, d_k, d_v in rows of head.stride
// numbers, overwritten.
template <class Real>
void attention_backward(const AttentionHead<Real>& head, const Real* d_out,
                        std::int64_t d_out_stride, Real* d_q, Real* d_k, Real* d_v) {
  const std::int64_t T = head.T;
  const std::int64_t D = head.D;
  const Real scale = Real(1) / std::sqrt(static_cast<Real>(D));
  std::vector<Real> log_sum_exp(static_cast<std::size_t>(T));
  const std::vector<Real> P = attention_probabilities(head, log_sum_exp.data());
  for (std::int64_t i = 0; i < T; ++i) {
    for (std::int64_t c = 0; c < D; ++c) {
      d_q[i * head.stride + c] = d_k[i * head.stride + c] = d_v[i * head.stride + c] = 0;
    }
  }
  for (std::int64_t i = 0; i < T; ++i) {
    const Real* d_o = d_out + i * d_out_stride;
    std::vector<Real> d_P(static_cast<std::size_t>(T), Real(0));
    Real weighted = 0;  // sum_j dP_ij P_ij
    for (std::int64_t j = 0; j <= i; ++j) {
      const Real p = P[static_cast<std::size_t>(i * T + j)];
      Real& d_p = d_P[static_cast<std::size_t>(j)];
      for (std::int64_t c = 0; c < D; ++c) {
        d_p += head.factor(i, j) * d_o[c] * head.v[j * head.stride + c];
        d_v[j * head.stride + c] += head.factor(i, j) * p * d_o[c];
      }
      weighted += d_p * p;
    }
    for (std::int64_t j = 0; j <= i; ++j) {
      const Real p = P[static_cast<std::size_t>(i * T + j)];
      const Real d_score = p * (d_P[static_cast<std::size_t>(j)] - weighted) * scale;
      for (std::int64_t c = 0; c < D; ++c) {
        d_q[i * head.stride + c] += d_score * head.k[j * head.stride + c];
        d_k[j * head.stride + c] += d_score * head.q[i * head.stride + c];
      }
    }
  }
}

}  // namespace ovid::kernels::reference
