#pragma once
// Four warps that multiply together.

#include <cstdint>

#include "tests/ptx_emulator/machine/async.h"
#include "tests/ptx_emulator/machine/tensor/pending_product.h"

namespace ptx_emulator::tensor {

inline constexpr std::uint32_t kWarpsOfGroup = 4;

// Computes what the warps first_warp to first_warp + 3 have issued in groups numbered below
// `groups`, in the order of issue. Results stay beside the registers until each warp waits itself.
// Throws DeviceFault.
void compute_groups(Block& block, std::uint32_t first_warp, std::uint64_t groups);

}  // namespace ptx_emulator::tensor
