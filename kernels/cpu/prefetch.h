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

// The same for a line that will be written: it comes as this core's own, and other cores give up
// their copies meanwhile instead of while the write waits. With two threads that takes a
// seventh off attention's backward pass and a fifth off layernorm's, whose results both cores have
// read the last time (4 layers, 128 wide; a Xeon of the Emerald Rapids generation).
inline void prefetch_for_writing(const void* at, std::int64_t bytes) {
  const auto* line = reinterpret_cast<const char*>(reinterpret_cast<std::uintptr_t>(at) +
                                                   static_cast<std::uintptr_t>(bytes));
#if defined(__x86_64__)
  // From __builtin_prefetch compilers make it for few processors only; those without it do nothing.
  asm volatile("prefetchw %0" : : "m"(*line));
#else
  __builtin_prefetch(line, 1);
#endif
}

}  // namespace ovid::kernels::cpu
