#pragma once

#include <cstdint>

#include "src/config/run_config.h"

namespace ovid::training {

// Sequences of update `step`, counted from 0, over all ranks: batch.sequences; with a ramp a line
// from batch.ramp_from at step 0 to that at step batch.ramp_steps, rounded down to a multiple of
// `micro_sequences` (McCandlish et al. 2018: early gradients are large beside their noise).
std::int64_t batch_sequences(const config::BatchSection& batch, std::int64_t micro_sequences,
                             std::int64_t step);

// Sequences of the first `steps` updates together.
std::int64_t total_sequences(const config::BatchSection& batch, std::int64_t micro_sequences,
                             std::int64_t steps);

}  // namespace ovid::training
