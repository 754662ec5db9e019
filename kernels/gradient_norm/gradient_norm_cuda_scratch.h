#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace ovid::kernels::cuda {

inline constexpr std::int64_t kGradientNormThreads = 256;
// Four blocks of 256 threads fill half of a multiprocessor, and 1,024 blocks every GPU to date.
inline constexpr std::int64_t kGradientNormMaxBlocks = 1024;

// Blocks of the sum over n elements, each with one partial sum: a function of n alone, so that
// every GPU adds in the same order. At least 32 elements a thread where there are enough.
inline std::int64_t gradient_norm_blocks(std::int64_t n) {
  constexpr std::int64_t kPerBlock = 32 * kGradientNormThreads;
  return std::clamp<std::int64_t>((n + kPerBlock - 1) / kPerBlock, 1, kGradientNormMaxBlocks);
}

inline std::size_t gradient_norm_scratch_bytes(std::int64_t n) {
  return static_cast<std::size_t>(gradient_norm_blocks(n)) * sizeof(double);
}

}  // namespace ovid::kernels::cuda
