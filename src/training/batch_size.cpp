#include "src/training/batch_size.h"

#include <algorithm>

namespace ovid::training {

std::int64_t batch_sequences(const config::BatchSection& batch, std::int64_t micro_sequences,
                             std::int64_t step) {
  if (batch.ramp_from <= 0 || step >= batch.ramp_steps) return batch.sequences;
  // In double: the product of two counts may exceed 64 bits, and 2^53 sequences are out of reach.
  const double share = static_cast<double>(step) / static_cast<double>(batch.ramp_steps);
  const double exact = static_cast<double>(batch.ramp_from) +
                       share * static_cast<double>(batch.sequences - batch.ramp_from);
  // At least one pass: ramp_from is a multiple of micro_sequences.
  return static_cast<std::int64_t>(exact) / micro_sequences * micro_sequences;
}

std::int64_t total_sequences(const config::BatchSection& batch, std::int64_t micro_sequences,
                             std::int64_t steps) {
  const std::int64_t ramp = batch.ramp_from > 0 ? std::min(steps, batch.ramp_steps) : 0;
  std::int64_t sum = (steps - ramp) * batch.sequences;
  for (std::int64_t step = 0; step < ramp; ++step) {
    sum += batch_sequences(batch, micro_sequences, step);
  }
  return sum;
}

}  // namespace ovid::training
