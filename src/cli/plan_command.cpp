#include <fmt/format.h>

#include "src/cli/commands.h"
#include "src/cli/standard_output.h"
#include "src/config/config.h"
#include "src/training/plan_report.h"
#include "src/training/run_plan.h"

namespace ovid::cli {

ExitCode run_plan(const PlanOptions& options) {
  if (options.processes < 1)
    throw UsageError(fmt::format("--processes {}: at least 1", options.processes));
  const training::RunPlan plan = training::make_run_plan(
      config::load(options.config, options.overrides), training::DeviceUse::kPlanOnly,
      {.count = options.processes, .local_count = options.processes});
  const training::RunNeeds needs = training::needs_of(plan, !options.no_timing);
  print(options.json ? training::to_json(plan, needs) + "\n" : training::to_text(plan, needs));
  return needs.fits_memory() && needs.fits_disk() ? ExitCode::kDone : ExitCode::kResources;
}

}  // namespace ovid::cli
