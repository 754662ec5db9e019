#pragma once

#include "src/model/activations.h"
#include "src/model/model_config.h"

namespace ovid::model {

// Floating-point operations of a model on a batch, a multiplication and an addition counted as two.
// Only products count, and of attention only the causal half (Narayanan et al. 2021, appendix,
// counts the whole square): what any implementation must do, so that rates can be compared.
struct OperationCount {
  double linear = 0;     // projections of the blocks and the head
  double attention = 0;  // scores, and the values that they weigh
  double total() const { return linear + attention; }
};

OperationCount forward_operations(const ModelConfig& config, BatchShape batch);

// Forward and backward: each product of the forward pass has two in the backward pass, one where
// its weight is frozen, and none below the lowest tensor that is trained. What is recomputed does
// not count: it is no progress.
OperationCount training_operations(const ModelConfig& config, BatchShape batch);

}  // namespace ovid::model
