#pragma once

#include <memory>
#include <string>

#include "src/distributed/communicator.h"
#include "src/distributed/rank.h"
#include "src/distributed/rank_discovery.h"

namespace ovid::distributed {

struct WorldOptions {
  DiscoveredRanks place = discover_ranks();
  double join_seconds = 300;  // until all ranks must be there
};

// The ranks of this run as one of them sees them.
struct World {
  RankInfo ranks;
  std::unique_ptr<Communicator> communicator;  // of rows in the host's memory; never null
  std::string description;  // "rank 2 of 4, by shared memory, started by Slurm"; for the log
  // Cores of this rank: those that it may use, divided by the ranks that share them.
  int threads = 1;
};

// Joins the ranks of the run: one rank alone, processes of one machine by shared memory, others by
// MPI. Waits until all are there. Throws UsageError (the environment), RankError (a rank did not
// come in time, or is of another build), ResourceError (memory).
World join_world(const WorldOptions& options = {});

}  // namespace ovid::distributed
