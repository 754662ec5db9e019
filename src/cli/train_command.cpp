#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/cli/commands.h"
#include "src/config/config.h"
#include "src/core/log.h"
#include "src/distributed/device_communicator.h"
#include "src/distributed/local_launcher.h"
#include "src/distributed/rank_discovery.h"
#include "src/distributed/world.h"
#include "src/training/rank_agreement.h"
#include "src/training/run_plan.h"
#include "src/training/stop_signal.h"
#include "src/training/trainer.h"

namespace ovid::cli {
namespace {

// What every rank is told: the same command, without the options of the launch.
std::vector<std::string> command_of_rank(const TrainOptions& options) {
  std::vector<std::string> command = {std::filesystem::read_symlink("/proc/self/exe").string(),
                                      "train", options.config};
  command.insert(command.end(), options.overrides.begin(), options.overrides.end());
  if (options.profile) command.emplace_back("--profile");
  return command;
}

ExitCode launch(const TrainOptions& options) {
  const distributed::DiscoveredRanks place = distributed::discover_ranks();
  if (place.ranks.count > 1) {
    throw UsageError(
        fmt::format("--processes {}: {} has started {} ranks already; leave the "
                    "option out",
                    options.processes, place.source, place.ranks.count));
  }
  // What is wrong with the config is said once, not by every rank.
  config::load(options.config, options.overrides);
  return static_cast<ExitCode>(distributed::run_local_ranks({.command = command_of_rank(options),
                                                             .processes = options.processes,
                                                             .restarts = options.restarts}));
}

// What one rank does. What is wrong on all of them is said by one.
ExitCode train_rank(config::LoadedConfig config, distributed::World world, bool profile) {
  log::info(world.description);
  std::optional<training::RunPlan> plan;
  std::optional<Error> error;
  try {
    plan = training::make_run_plan(std::move(config), training::DeviceUse::kOpen, world.ranks,
                                   world.threads);
  } catch (const Error& e) {
    error = e;
  }
  const auto failure =
      training::first_failure(*world.communicator, error ? error->exit_code() : ExitCode::kDone);
  if (failure) {
    if (error && failure->rank == world.ranks.rank) throw *error;
    return failure->exit_code;
  }
  if (plan->target().device != nullptr) {
    world.communicator = distributed::open_device_communicator(std::move(world.communicator),
                                                               *plan->target().device);
  }
  return training::train(std::move(*plan), *world.communicator, {.profile = profile});
}

}  // namespace

ExitCode run_train(const TrainOptions& options) {
  if (options.processes != 1) return launch(options);
  training::install_stop_signals();
  config::LoadedConfig config = config::load(options.config, options.overrides);
  const distributed::DiscoveredRanks place = distributed::discover_ranks();
  if (place.ranks.count == 1) {
    return training::train(training::make_run_plan(std::move(config)),
                           {.profile = options.profile});
  }
  if (place.ranks.rank > 0) {
    log::set_level(log::Level::kWarning);
    log::set_prefix(fmt::format("[rank {}] ", place.ranks.rank));
  }
  return train_rank(std::move(config), distributed::join_world({.place = place}), options.profile);
}

}  // namespace ovid::cli
