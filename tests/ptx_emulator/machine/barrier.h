#pragma once
// Barriers of a block and of a cluster.

#include <cstdint>

#include "tests/ptx_emulator/machine/op.h"
#include "tests/ptx_emulator/machine/warp.h"

namespace ptx_emulator {

// What one execution of bar or barrier says.
struct BarrierArrival {
  std::uint32_t id = 0;
  std::uint32_t threads = 0;    // 0: all of the block
  bool waits = true;            // sync and red; false: arrive
  bool aligned = true;          // all lanes of the warp must come to the same instruction
  std::uint32_t predicate = 0;  // of red, by lane
};

// The lanes given (all of the running split) arrive. Returns op + 1 or, where they have to wait,
// nullptr. Throws DeviceFault for an id, a count or a use that the manual forbids.
const Op* arrive_at_barrier(Warp& warp, const Op* op, std::uint32_t lanes,
                            const BarrierArrival& arrival);

// Threads of the block have ended: barriers that waited only for them open.
void threads_exited(Block& block, std::uint32_t count, bool warp_ended);

// barrier.cluster.arrive of the lanes given.
void arrive_at_cluster(Warp& warp, std::uint32_t lanes);
// barrier.cluster.wait: op + 1, or nullptr where others have not arrived.
const Op* wait_for_cluster(Warp& warp, const Op* op);

}  // namespace ptx_emulator
