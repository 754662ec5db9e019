#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ovid::model {

// Low-rank adapters (Hu et al. 2021): y = x (W + (alpha / rank) A' B) + b, of which A and B are
// trained.
struct LowRankConfig {
  std::int64_t rank = 0;  // 0: there are none
  double alpha = 16;
  bool qkv = false, projection = false, expand = false, contract = false;  // which linears have one

  double scale() const { return alpha / static_cast<double>(rank); }
  bool operator==(const LowRankConfig&) const = default;
};

// The shape of a GPT-2 (Radford et al. 2019). Letters are those of docs/notation.md.
struct ModelConfig {
  std::int64_t layers = 0;           // L
  std::int64_t heads = 0;            // H, divides width
  std::int64_t width = 0;            // C
  std::int64_t context_length = 0;   // the longest T
  std::int64_t vocabulary_size = 0;  // V, at most 65,536
  bool tied_head = true;             // the head's weight is the token embedding
  float layernorm_epsilon = 1e-5f;
  float embedding_dropout = 0.0f;  // probabilities in [0, 1)
  float attention_dropout = 0.0f;
  float residual_dropout = 0.0f;
  // Names of the tensors that are not trained, sorted: their gradients are not computed, and they
  // have no moments. No part of the shape; empty: all are trained.
  std::vector<std::string> frozen = {};
  // No part of the shape either. Where there are adapters, `frozen` names all else.
  LowRankConfig low_rank = {};

  bool operator==(const ModelConfig&) const = default;
};

}  // namespace ovid::model
