#pragma once

#include <span>

#include "kernels/common/execution_context.h"
#include "src/distributed/communicator.h"
#include "src/model/parameters.h"
#include "src/model/shard_layout.h"

namespace ovid::training {

// The sum of squares of all gradients, with the same bits for every number of ranks and threads.
// `parts` are what this rank owns of each group's row of `layout`, as one row each, with the sum
// over the ranks in it (padding is zero). Each granule of
// ShardLayout::kGranule elements is summed in double, and granules by the binary tree over their
// index in the row (canonical_tree.h), so that a rank sends the few nodes that it holds. From a
// device's memory they are copied to the host first. Collective; waits.
double granule_sum_of_squares(kernels::ExecutionContext& ctx,
                              distributed::Communicator& communicator,
                              const model::ShardLayout& layout, std::span<const model::View> parts);

}  // namespace ovid::training
