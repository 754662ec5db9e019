#pragma once

#include <cstdint>

#include "kernels/common/execution_context.h"

// Inside kernels/embedding: which rows of a batch belong to which row of a table.
namespace ovid::kernels::cuda {

// Keys in increasing order, and where each stood; equal ones in the order in which they stood.
struct SortedKeys {
  const std::int32_t* keys;    // (count)
  const std::int32_t* places;  // (count)
};

// Sorts keys (count) int32 in [0, limit) on the device; count > 0. Takes sort_scratch_bytes of
// `scratch`, which the result lies in. Enqueued on ctx.
SortedKeys sort_keys(ExecutionContext& ctx, ScratchFrame& scratch, const std::int32_t* keys,
                     std::int64_t count, std::int64_t limit);

}  // namespace ovid::kernels::cuda
