#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/attention/attention.h"

// What the CUDA kernels of attention take of scratch: functions of shapes alone, for a dry run.
namespace ovid::kernels::cuda {

inline std::size_t attention_backward_scratch_bytes(const AttentionShape& shape) {
  // A pair of floats for each row of each head, in whole tiles of 128 rows.
  const std::int64_t rows = (shape.length + 127) / 128 * 128;
  return static_cast<std::size_t>(shape.sequences * shape.heads * rows) * 2 * sizeof(float);
}

// A row's cached positions are taken in parts of this length, whatever the batch and the cache.
inline constexpr std::int64_t kCachedPositionsOfPart = 128;
// Rows that share the scratch; the next ones follow.
inline constexpr std::int64_t kCachedRowsAtOnce = 256;

inline std::int64_t cached_attention_parts(const CachedAttentionShape& shape) {
  return (shape.positions + kCachedPositionsOfPart - 1) / kCachedPositionsOfPart;
}

// Of one part: D weighted values, a maximum and a sum, in whole sectors of 32 bytes.
constexpr std::int64_t cached_attention_floats_of_part(std::int64_t head_width) {
  return (head_width + 2 + 7) / 8 * 8;
}

// (rows at once, heads, parts) of them; none for one part.
inline std::int64_t cached_attention_scratch_floats(const CachedAttentionShape& shape) {
  const std::int64_t parts = cached_attention_parts(shape);
  if (parts <= 1) return 0;
  return std::min(shape.rows, kCachedRowsAtOnce) * shape.heads * parts *
         cached_attention_floats_of_part(shape.head_width);
}

inline std::size_t cached_attention_scratch_bytes(const CachedAttentionShape& shape) {
  return static_cast<std::size_t>(cached_attention_scratch_floats(shape)) * sizeof(float);
}

}  // namespace ovid::kernels::cuda
