#pragma once
// Why the warps of a cluster cannot go on.

#include <string>

#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/fault.h"

namespace ptx_emulator {

struct Deadlock {
  FaultKind kind = FaultKind::kBarrierDeadlock;
  std::string message;
  Warp* warp = nullptr;  // one that waits, its waiting split made the current one
};

// At least one warp of the cluster has not ended, and all of them wait.
Deadlock describe_deadlock(Cluster& cluster);

}  // namespace ptx_emulator
