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
// PTX (sm_90a) of an entry with the same name and parameters, of blocks of four warps: each round
// is a group of kGroupProducts wgmma.m64n128k16 of bf16, both operands in shared memory.
std::string group_product_kernel();
inline constexpr std::uint32_t kGroupProducts = 4;
inline constexpr std::uint64_t kGroupProductFlops = 2ull * 64 * 128 * 16;
inline constexpr std::uint32_t kProductsPerRound = 8;
inline constexpr std::uint64_t kProductFlops = 4096;  // of one product of a warp

}  // namespace ptx_emulator
