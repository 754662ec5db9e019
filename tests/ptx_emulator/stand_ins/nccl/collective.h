#pragma once
// Collectives: every rank writes a piece into its area of the shared segment, all meet, and each
// takes what it needs.

#include <vector>

#include "tests/ptx_emulator/stand_ins/nccl/operation.h"

namespace ptx_emulator::stand_ins {

struct LocalCall {
  int rank = 0;
  const NcclCall* call = nullptr;
};

// The same collective of all ranks of this process; returns when their results are written. Throws
// CommunicationError (ncclInvalidUsage where ranks' calls differ, with each of them named) or
// OperandFault.
void run_collective(SharedSegment& segment, const std::vector<LocalCall>& calls);

}  // namespace ptx_emulator::stand_ins
