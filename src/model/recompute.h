#pragma once

#include "src/model/block.h"

namespace ovid::model {

// Brings back what the forward pass of a block overwrote (Keep), before its backward pass: memory
// for time (Chen et al., "Training deep nets with sublinear memory cost", 2016). The same ops on
// the same operands, with the same dropout masks, so the same bits. The first block's input norm is
// always kept.
void recompute_block(ExecutionContext& ctx, const BlockOperands& op, bool first_block, Keep keep);

}  // namespace ovid::model
