#include <fmt/format.h>

#include "src/cli/commands.h"
#include "src/config/config.h"
#include "src/training/run_plan.h"
#include "src/training/stop_signal.h"
#include "src/training/trainer.h"

namespace ovid::cli {

ExitCode run_train(const TrainOptions& options) {
  if (options.processes != 1) {
    throw UsageError(fmt::format(
        "--processes {}: this version of Ovid trains in one process, on all cores; leave the "
        "option out",
        options.processes));
  }
  training::install_stop_signals();
  return training::train(training::make_run_plan(config::load(options.config, options.overrides)),
                         {.profile = options.profile});
}

}  // namespace ovid::cli
