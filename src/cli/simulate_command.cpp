#include "src/cli/commands.h"
#include "src/cli/standard_output.h"
#include "src/config/config.h"
#include "src/simulation/simulated_run.h"
#include "src/training/run_plan.h"

namespace ovid::cli {

ExitCode run_simulate(const SimulateOptions& options) {
  const simulation::SimulationOptions simulated{
      .ranks = options.ranks,
      .steps = options.steps,
      .network = {.latency_seconds = options.latency_us * 1e-6,
                  .bytes_per_second = options.bandwidth_gb * 1e9},
      .operations_per_second = options.teraflops * 1e12,
      .disk_bytes_per_second = options.disk_gb * 1e9,
      .rank_hours_between_failures = options.failure_hours,
      .repair_hours = options.repair_minutes / 60,
      .interval_hours = options.interval_minutes / 60};
  const simulation::SimulationReport report = simulation::simulate_run(
      training::make_run_plan(config::load(options.config, options.overrides),
                              training::DeviceUse::kPlanOnly),
      simulated);
  print(options.json ? to_json(report) + "\n" : to_text(report));
  return ExitCode::kDone;
}

}  // namespace ovid::cli
