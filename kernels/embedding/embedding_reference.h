#pragma once

#include <cstdint>

// The formula of embedding.h in plain loops: the oracle of the tests, and the text to read first.
namespace ovid::kernels::reference {

// positions may be null: then the column in each row of tokens.
template <class Real>
void embedding_forward(const std::int32_t* tokens, const std::int32_t* positions,
                       const Real* token_embedding, const Real* position_embedding, Real* out,
                       std::int64_t B, std::int64_t T, std::int64_t C) {
  for (std::int64_t n = 0; n < B * T; ++n) {
    const std::int64_t position = positions != nullptr ? positions[n] : n % T;
    for (std::int64_t c = 0; c < C; ++c) {
      out[n * C + c] = token_embedding[tokens[n] * C + c] + position_embedding[position * C + c];
    }
  }
}

// Adds to both gradients.
template <class Real>
void embedding_backward(const std::int32_t* tokens, const std::int32_t* positions,
                        const Real* d_out, Real* d_token_embedding, Real* d_position_embedding,
                        std::int64_t B, std::int64_t T, std::int64_t C) {
  for (std::int64_t n = 0; n < B * T; ++n) {
    const std::int64_t position = positions != nullptr ? positions[n] : n % T;
    for (std::int64_t c = 0; c < C; ++c) {
      d_token_embedding[tokens[n] * C + c] += d_out[n * C + c];
      d_position_embedding[position * C + c] += d_out[n * C + c];
    }
  }
}

}  // namespace ovid::kernels::reference
