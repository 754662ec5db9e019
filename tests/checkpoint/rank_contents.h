#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/checkpoint/run_checkpoint.h"

namespace ovid::checkpoint {

// The share of one rank of a checkpoint that `whole` is: rank r of R has the elements [r n / R,
// (r + 1) n / R) of each tensor of n elements, of the optimizer always, of the model where
// `shares_model` (else rank 0 has all of it).
CheckpointContent share_of(const CheckpointContent& whole, const WritingRanks& ranks,
                           bool shares_model);

// "NAME@begin:end".
std::string part_name(const std::string& name, std::int64_t begin, std::int64_t end);

}  // namespace ovid::checkpoint
