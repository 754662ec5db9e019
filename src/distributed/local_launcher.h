#pragma once

#include <string>
#include <vector>

namespace ovid::distributed {

// Several ranks of one program on this machine.
struct LocalLaunch {
  std::vector<std::string> command;  // the program's path, then its arguments
  int processes = 1;                 // in [1, kMaxLocalRanks]
  // How long the other ranks may take to end, after one failed, before they are killed.
  double grace_seconds = 30;
  int restarts = 0;  // how often all ranks are started anew after a failure
};

inline constexpr int kMaxLocalRanks = 256;

// Starts the ranks (each finds its place by discover_ranks()) and waits for all. Returns the job's
// exit code: 0 where all ended so, else that of the rank that failed first (128 + signal where a
// signal ended it), else 75 (stopped and saved). When one has failed, the others get SIGTERM, and
// SIGKILL after the grace. SIGTERM, SIGINT, SIGUSR1 and SIGUSR2 are handed on to every rank; a
// second SIGINT kills them (exit code 130). Ranks end with this process however it ends, and the
// memory that they share has no name: nothing is left behind. After exit codes 2 (usage), 75 and 93
// (do not requeue) nothing is started anew. To be called from the main thread, before other threads
// are made. Throws UsageError, ResourceError (no further process, no memory).
int run_local_ranks(const LocalLaunch& launch);

}  // namespace ovid::distributed
