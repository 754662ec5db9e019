#pragma once
// A kernel of nothing but matrix products, for the speed of the machine.

#include <cstdint>
#include <string>

namespace ptx_emulator {

// PTX of an entry `products(.param .u32 rounds, .param .u64 out)`: each warp runs `rounds` rounds
// of kProductsPerRound independent mma.sync.m16n8k16 with f32 accumulators, and stores four floats
// a thread at out + 16 * global thread index.
//   type  "bf16" or "f16"
std::string product_kernel(const std::string& type);
inline constexpr std::uint32_t kProductsPerRound = 8;
inline constexpr std::uint64_t kProductFlops = 4096;  // of one product of a warp

}  // namespace ptx_emulator
