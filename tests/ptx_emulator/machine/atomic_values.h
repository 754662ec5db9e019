#pragma once
// The operations of atom and red on one value in memory, atomic between worker threads.

#include <cstddef>
#include <cstdint>
#include <string>

#include "tests/ptx_emulator/ptx/module.h"

namespace ptx_emulator {

// Replaces the value at `at` and returns what was there. `b`, `c`: operands, zero-extended.
// `flush`: subnormal numbers of f32 count as zero, as atomic additions to global memory do.
using AtomicFunction = std::uint64_t (*)(std::byte* at, std::uint64_t b, std::uint64_t c,
                                         bool flush);

// nullptr where PTX has no such operation on the type. `operation`: "add", "min", "inc", "cas" and
// so on.
AtomicFunction atomic_function(const std::string& operation, ptx::Type type);

// exch and cas on 16 bytes, aligned.
struct Wide {
  std::uint64_t low = 0, high = 0;
};
Wide exchange_wide(std::byte* at, Wide value);
Wide compare_exchange_wide(std::byte* at, Wide expected, Wide value);

}  // namespace ptx_emulator
