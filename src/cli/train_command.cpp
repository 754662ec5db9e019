#include <fmt/format.h>

#include <filesystem>
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
  if (place.ranks.rank > 0) log::set_level(log::Level::kWarning);
  distributed::World world = distributed::join_world({.place = place});
  training::RunPlan plan = training::make_run_plan(std::move(config), training::DeviceUse::kOpen,
                                                   world.ranks, world.threads);
  log::info(world.description);
  if (plan.target().device != nullptr) {
    world.communicator =
        distributed::open_device_communicator(std::move(world.communicator), *plan.target().device);
  }
  return training::train(std::move(plan), *world.communicator, {.profile = options.profile});
}

}  // namespace ovid::cli
