#pragma once

#include <cstdint>

#include "src/selftest/bench.h"

namespace ovid::selftest {

// Some steps of a small GPT-2 (2 layers, 128 wide, dropout, two micro-batches a step) on `target`
// beside the same on the CPU in float32. The larger of two relative differences, over the steps:
// of the losses, and of the gradients' global norms. Both are zero to rounding only if forward
// pass, backward pass, masks, accumulation, clipping and updates of all steps before agree.
struct TrainingDifference {
  double loss = 0;
  double norm = 0;
  bool repeats = true;  // a second run on `target` gave the same losses and norms
};
TrainingDifference compare_training(const memory::ComputeTarget& target, std::uint64_t seed);

// What the two may be: a model's loss is a mean over many rounded numbers, and moves by some units
// of the number type; so does the norm, which is a root of a sum of squares.
double training_limit(DType dtype);

}  // namespace ovid::selftest
