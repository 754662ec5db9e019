#pragma once

#include <functional>
#include <optional>
#include <string>

#include "src/distributed/rank.h"

namespace ovid::distributed {

// What the environment says of this process's place in a run.
struct DiscoveredRanks {
  RankInfo ranks;
  std::string source;  // "Slurm", "Open MPI", ...; "one process" where nothing is said
  std::string
      run_token;  // the same in all processes of the run, differs between runs; may be empty
  bool one_machine = true;      // all ranks are on this one, as far as is known
  bool started_by_mpi = false;  // an MPI library would find the other ranks
  // Of the memory that all ranks share, where a launcher of ours handed it to this process.
  std::optional<int> segment_descriptor = std::nullopt;
};

// The value of an environment variable, null where there is none.
using Environment = std::function<const char*(const char* name)>;
Environment process_environment();

// Which rank this process is, by the first of these that says so:
//   OVID_RANK, OVID_RANKS, OVID_LOCAL_RANK, OVID_LOCAL_RANKS    `ovid train --processes`; by hand
//   RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE              torchrun, Kubeflow
//   OMPI_COMM_WORLD_RANK and those beside it                    mpirun of Open MPI
//   SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID           srun
//   PMI_RANK, PMI_SIZE, MPI_LOCALRANKID, MPI_LOCALNRANKS        mpirun of MPICH
//   JOB_COMPLETION_INDEX with WORLD_SIZE                        an indexed job of Kubernetes
//   nothing                                                     one process
// OVID_COMMUNICATOR=mpi says that the ranks are to be joined by MPI also on one machine.
// A batch script of Slurm outside of srun is one process. Throws UsageError where variables are no
// numbers, contradict each other, or one of a family is missing.
DiscoveredRanks discover_ranks(const Environment& environment = process_environment());

}  // namespace ovid::distributed
