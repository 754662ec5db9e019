#pragma once
// Carrying out what machine/async.h keeps.

#include <cstdint>

#include "tests/ptx_emulator/machine/async.h"
#include "tests/ptx_emulator/machine/warp.h"

namespace ptx_emulator::tensor {

// cp.async of `lanes`: those of all but the last `kept` closed groups of each lane. With `open`
// set, also what is in no group yet (and then `kept` is 0).
void deliver_copies(Warp& warp, std::uint32_t lanes, std::uint32_t kept, bool open);

// Bulk copies of `lanes` that bulk groups count, likewise. With `reads_only` set, sources are read
// and kept; the writing comes later.
void deliver_bulk(Warp& warp, std::uint32_t lanes, std::uint32_t kept, bool reads_only);

// Everything that was to complete on the mbarrier at `barrier` of this block: bulk copies, and
// arrivals of cp.async.
void deliver_on(Block& block, std::byte* barrier);

// Reads the sources of a bulk copy into memory of its own.
void read_now(BulkCopy& copy);
// Moves the data of one bulk copy, and tells its mbarrier.
void carry_out(BulkCopy& copy);

// On the mbarrier at `barrier`: `bytes` have come; one arrival of a cp.async.mbarrier.arrive.
void complete_transactions(std::byte* barrier, std::uint64_t bytes);
void arrive_asynchronously(std::byte* barrier);

}  // namespace ptx_emulator::tensor
