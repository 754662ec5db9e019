#pragma once

#include <cstdint>

#include "kernels/common/dropout_mask.h"

namespace ovid::kernels::cpu {

// out[i] = mask.factor(first + i) for i in [0, count): the same bits, several counters of Philox at
// a time. Any `first`.
void dropout_factors(const DropoutMask& mask, std::uint64_t first, std::int64_t count, float* out);

}  // namespace ovid::kernels::cpu
