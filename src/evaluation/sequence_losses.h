#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "src/generation/generator.h"

namespace ovid::evaluation {

// Tokens of one text, of which those from `counted` on are to be predicted.
struct ScoredSequence {
  std::vector<std::int32_t> tokens;
  std::size_t counted = 1;  // in [1, tokens.size()]; the first token is never predicted
};

// What tells how many sequences are done.
using SequenceProgress = std::function<void(std::int64_t done, std::int64_t all)>;

// -log p of the counted tokens of each sequence, given those before them in it: nats, summed in
// double, one for each sequence. Sequences of like length share a forward pass; each begins at
// position 0. The result is a pure function of model and sequences, whatever the number of threads.
// Throws DataError for a sequence of fewer than two tokens, of more than the context and its last
// target, with a token outside the vocabulary or `counted` out of range; DivergedError where a loss
// is not finite.
std::vector<double> sequence_losses(const generation::GenerationModel& model,
                                    std::span<const ScoredSequence> sequences,
                                    const SequenceProgress& on_progress = nullptr);

}  // namespace ovid::evaluation
