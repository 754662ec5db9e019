#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "src/memory/arena.h"
#include "src/model/parameters.h"

namespace ovid::model {

// What the forward pass of one block writes. Rows are B T. Of the number type A that the model is
// computed in, but for log_sum_exp, means, inverse standard deviations and losses: float32 always.
struct BlockActivations {
  View qkv;                      // (B, T, 3C)
  View log_sum_exp;              // (B, H, T)
  View attended;                 // (B, T, C)
  View x_mid;                    // (B, T, C)   the residual stream between the two branches
  View m;                        // (B, T, C)   its norm
  View mean2, inv_std2;          // (B T)
  View u;                        // (B, T, 4C)  before GELU
  View g;                        // (B, T, 4C)  after
  View next_x;                   // (B, T, C)   the residual stream for the next reader
  View next_n;                   // (B, T, C)   and its norm
  View next_mean, next_inv_std;  // (B T)
};

// What lies in memory of its own for each block. The rest is shared by all blocks: the forward pass
// overwrites it, and the backward pass computes it again (recompute.h), to the same bits.
enum class Keep {
  kForBackward,   // everything
  kWithoutCheap,  // all but g, m and next_n, which one pass over memory brings back
  kBlockInputs,   // only next_x and its statistics: each block runs again, but for its last product
  kNothing,       // no backward pass: all blocks write into the same two sets in turn
};

// Everything that one forward pass writes.
struct Activations {
  Keep keep;
  View x0;               // (B, T, C)  embeddings after dropout
  View n0;               // (B, T, C)  their norm
  View mean0, inv_std0;  // (B T)
  std::vector<BlockActivations> blocks;
  View branch;  // (B, T, C)  a branch before it joins the stream; free between ops
  View losses;  // (B T)      per target, nats
  View logits;  // (R, V) rows padded to a multiple of 128 columns: one chunk of the head

  const View& final_x() const { return blocks.back().next_x; }
  const View& final_n() const { return blocks.back().next_n; }
};

// What the backward pass writes; one set for all blocks. d.x gathers both paths of a residual.
struct ActivationGradients {
  View x;         // (B, T, C)
  View n;         // (B, T, C)  of the norm that the next op down reads
  View branch;    // (B, T, C)  the same memory as x where the residual has no dropout
  View attended;  // (B, T, C)
  View qkv;       // (B, T, 3C)
  View g;         // (B, T, 4C)
};

struct BatchShape {
  std::int64_t sequences = 0;  // B
  std::int64_t length = 0;     // T
  std::int64_t rows() const { return sequences * length; }
};

// Rows of logits that exist at once.
std::int64_t head_chunk_rows(const ModelConfig& config, std::int64_t rows);

// Lay out in `arena`; to be run on a measuring arena first (memory::measure).
// `dtype` is A.
Activations lay_out_activations(memory::Arena& arena, const ModelConfig& config, BatchShape batch,
                                Keep keep, DType dtype = DType::kFloat32);
ActivationGradients lay_out_activation_gradients(memory::Arena& arena, const ModelConfig& config,
                                                 BatchShape batch, DType dtype = DType::kFloat32);

}  // namespace ovid::model
