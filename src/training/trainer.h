#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "src/core/error.h"
#include "src/training/run_plan.h"

namespace ovid::training {

// Trains as planned: starts the run, or continues it from its newest valid checkpoint. Writes the
// run's directory. Returns kDone, or kStoppedAndSaved where a signal stopped it
// (install_stop_signals). Throws UsageError where the directory holds a run that the config does
// not continue, ResourceError (memory, disk, a second run in the directory), DivergedError where
// loss or gradients stop being finite.
ExitCode train(RunPlan plan);

}  // namespace ovid::training
