#pragma once

#include <cmath>
#include <cstdint>

// The formulas of softmax_cross_entropy.h in plain loops: the oracle of the tests, and the text to
// read first. target: in [0, V), or negative for a row that adds no loss.
namespace ovid::kernels::reference {

// (1)
template <class Real>
Real cross_entropy_loss(const Real* logits, std::int32_t target, std::int64_t V) {
  if (target < 0) return Real(0);
  Real largest = logits[0];
  for (std::int64_t v = 1; v < V; ++v) largest = logits[v] > largest ? logits[v] : largest;
  Real sum = 0;
  for (std::int64_t v = 0; v < V; ++v) sum += std::exp(logits[v] - largest);
  return std::log(sum) + largest - logits[target];
}

// (2) d_logits may be logits.
template <class Real>
void cross_entropy_gradient(const Real* logits, std::int32_t target, Real scale, Real* d_logits,
                            std::int64_t V) {
  Real largest = logits[0];
  for (std::int64_t v = 1; v < V; ++v) largest = logits[v] > largest ? logits[v] : largest;
  Real sum = 0;
  for (std::int64_t v = 0; v < V; ++v) sum += std::exp(logits[v] - largest);
  for (std::int64_t v = 0; v < V; ++v) {
    const Real probability = std::exp(logits[v] - largest) / sum;
    const Real one_hot = v == target ? Real(1) : Real(0);
    d_logits[v] = target < 0 ? Real(0) : (probability - one_hot) * scale;
  }
}

}  // namespace ovid::kernels::reference
