#pragma once
// Point-to-point: all sends and receives of a group make progress together.

#include <vector>

#include "tests/ptx_emulator/stand_ins/nccl/collective.h"

namespace ptx_emulator::stand_ins {

// Returns when every message of the ranks of this process is through. Messages of one pair of ranks
// keep their order. Throws CommunicationError (ncclInvalidUsage where sender and receiver disagree
// on size or type) or OperandFault.
void run_messages(SharedSegment& segment, const std::vector<LocalCall>& calls);

}  // namespace ptx_emulator::stand_ins
