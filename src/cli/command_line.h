#pragma once

#include <functional>

#include "src/cli/commands.h"

namespace CLI {
class App;
}

// The command line of `ovid`: each function adds subcommands with their options and help. When one
// of them was parsed, `chosen` runs it.
namespace ovid::cli {

using Command = std::function<ExitCode()>;

void add_train(CLI::App& app, TrainOptions& options, Command& chosen);
void add_plan(CLI::App& app, PlanOptions& options, Command& chosen);
void add_simulate(CLI::App& app, SimulateOptions& options, Command& chosen);
void add_runs(CLI::App& app, RunsOptions& options, Command& chosen);
void add_config(CLI::App& app, ConfigOptions& options, Command& chosen);
void add_doctor(CLI::App& app, DoctorOptions& options, Command& chosen);
void add_selftest(CLI::App& app, SelftestOptions& options, Command& chosen);
// --device, --device-index and --threads.
void add_device_options(CLI::App& command, DeviceOptions& options);
void add_precision_option(CLI::App& command, DeviceOptions& options);

void add_distributed(CLI::App& app, FlightOptions& options, Command& chosen);

void add_generate(CLI::App& app, GenerateOptions& options, Command& chosen);
void add_chat(CLI::App& app, ChatOptions& options, Command& chosen);
void add_eval(CLI::App& app, EvalOptions& options, Command& chosen);
void add_checkpoint(CLI::App& app, CheckpointOptions& options, CheckpointPruneOptions& prune,
                    CheckpointExportOptions& exported, Command& chosen);

}  // namespace ovid::cli
