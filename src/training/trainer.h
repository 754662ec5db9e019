#pragma once

#include "src/core/error.h"
#include "src/distributed/communicator.h"
#include "src/training/run_plan.h"

namespace ovid::training {

struct TrainSettings {
  bool profile = false;  // time every op, print a table at the end and write profile.json
};

// Trains as planned: starts the run, or continues it from its newest valid checkpoint. Writes the
// run's directory. Returns kDone, or kStoppedAndSaved where a signal stopped it
// (install_stop_signals). Throws UsageError where the directory holds a run that the config does
// not continue, ResourceError (memory, disk, a second run in the directory), DivergedError where
// more updates in a row had to be skipped than guard.most_skips.
// With several ranks each calls it with its plan and a communicator that joins them, in the memory
// of the plan's target; rank 0 writes the run's directory but for the others' parts of checkpoints.
// On return all ranks have got here. Throws RankError, CollectiveError and WeightsDifferError too.
ExitCode train(RunPlan plan, distributed::Communicator& communicator,
               const TrainSettings& settings = {});
ExitCode train(RunPlan plan, const TrainSettings& settings = {});  // one rank

}  // namespace ovid::training
