#pragma once
// ncclGroupStart and ncclGroupEnd of the calling thread.

#include "tests/ptx_emulator/stand_ins/nccl/communicator.h"

namespace ptx_emulator::stand_ins {

void group_start();
// The last of nested ends runs everything; the first error inside the group is its result, and then
// nothing runs.
ncclResult_t group_end();
bool in_group();
void group_error(ncclResult_t error);

// Adds to the open group, or runs at once where there is none.
ncclResult_t submit(ncclComm_t comm, const NcclCall& call);
ncclResult_t submit(Construction construction);

}  // namespace ptx_emulator::stand_ins
