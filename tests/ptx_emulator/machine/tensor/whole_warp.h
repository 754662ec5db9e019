#pragma once
// What instructions of whole warps (`.sync.aligned`) have in common.

#include <cstdint>
#include <vector>

#include "tests/ptx_emulator/machine/assembler.h"
#include "tests/ptx_emulator/machine/warp.h"

namespace ptx_emulator::tensor {

// What an `.aligned` instruction does next.
enum class Entry : std::uint8_t { kExecute, kSkip, kWait };

// Lets the warp in where all its 32 lanes execute `op` together, skips where the guard is false for
// all of them. Lanes of a diverged warp wait for the others (kWait: the handler returns nullptr).
// Throws DeviceFault (kInvalidMask) where lanes have ended or a guard differs between them: no
// hardware defines the result.
Entry enter_slowly(Warp& warp, const Op* op);
inline Entry enter(Warp& warp, const Op* op) {
  if (lanes_of(warp, op) == kAllLanes) [[likely]]
    return Entry::kExecute;
  return enter_slowly(warp, op);
}

// Tells the counters of 2 m n k operations.
void count_product(Warp& warp, const Op* op, std::uint64_t flops);

// The places of a `{...}` operand's registers (or of one register) as sources or destinations.
std::vector<Place> sources(Assembler& assembler, std::size_t operand, ptx::Type type);
std::vector<Place> destinations(Assembler& assembler, std::size_t operand, ptx::Type type);

}  // namespace ptx_emulator::tensor
