#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/common/scratch.h"
#include "kernels/embedding/embedding.h"

// The sort by row of the table that the backward pass runs on (embedding_cuda_sort.cu): from the
// least digit of 8 bits to the greatest, each pass stable. How it divides its work is a function of
// the shape alone, so that scratch can be planned without a device.
namespace ovid::kernels::cuda {

inline constexpr std::int64_t kSortThreads = 256;
inline constexpr std::int64_t kSortKeysPerThread = 8;
inline constexpr std::int64_t kSortKeysPerBlock = kSortThreads * kSortKeysPerThread;
inline constexpr int kSortDigitBits = 8;
inline constexpr std::int64_t kSortDigits = std::int64_t{1} << kSortDigitBits;

inline std::int64_t sort_blocks(std::int64_t count) {
  return (count + kSortKeysPerBlock - 1) / kSortKeysPerBlock;
}
// Passes over keys in [0, limit).
inline int sort_passes(std::int64_t limit) {
  int passes = 1;
  while ((limit - 1) >> (passes * kSortDigitBits) > 0) ++passes;
  return passes;
}

// Two pairs of arrays, keys and places, which the passes fill in turns, and for each block the
// number of its keys with each digit.
inline std::size_t sort_scratch_bytes(std::int64_t count, std::int64_t limit) {
  constexpr auto kStep = static_cast<std::int64_t>(ScratchArena::kAlignment);
  const auto rounded = [](std::int64_t words) { return (words * 4 + kStep - 1) / kStep * kStep; };
  const std::int64_t pairs = std::min(sort_passes(limit), 2);
  return static_cast<std::size_t>(2 * pairs * rounded(count) +
                                  rounded(sort_blocks(count) * kSortDigits));
}

inline std::size_t embedding_backward_scratch_bytes(const EmbeddingShape& shape,
                                                    bool sorts_positions) {
  const std::int64_t count = shape.sequences * shape.length;
  const std::size_t tokens = sort_scratch_bytes(count, shape.vocabulary);
  return sorts_positions ? std::max(tokens, sort_scratch_bytes(count, shape.positions)) : tokens;
}

}  // namespace ovid::kernels::cuda
