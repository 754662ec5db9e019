#pragma once

#include <cstdint>

// Loads of cache lines ahead of their use, where the processor does not see them coming by itself:
// many arrays at once, or arrays that are read in turns with work in the cache.
namespace ovid::kernels::cpu {

inline constexpr std::int64_t kBytesOfLine = 64;
inline constexpr std::int64_t kFloatsOfLine = kBytesOfLine / 4;

// Begins to load the cache line `bytes` behind `at`. Any address will do, also one that is not
// mapped: it is never read.
inline void prefetch_behind(const void* at, std::int64_t bytes) {
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(at) +
                                                   static_cast<std::uintptr_t>(bytes)));
}

}  // namespace ovid::kernels::cpu
