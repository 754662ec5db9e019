#pragma once

#include <cstdint>

namespace ovid::data {

// What one rank computes of a step's global batch, whose sequences are numbered from 0.
struct BatchShare {
  std::int64_t first = 0;
  std::int64_t count = 0;
};

// Rank `rank` of `ranks` has the sequences [rank S / ranks, (rank + 1) S / ranks) of S, rounded
// down: each is somebody's, and shares differ by one at most. Needs 0 <= rank < ranks <= 2^20 and
// S <= 2^40.
inline BatchShare share_of_batch(std::int64_t sequences, int rank, int ranks) {
  const std::int64_t first = sequences * rank / ranks;
  return {.first = first, .count = sequences * (rank + 1) / ranks - first};
}

}  // namespace ovid::data
