#include <CLI/CLI.hpp>
#include <csignal>
#include <memory>
#include <sstream>

#include "src/cli/command_line.h"
#include "src/core/log.h"
#include "src/core/program.h"
#include "src/core/version.h"

namespace ovid::cli {
namespace {

// A list of subcommands shows the first line of each; `ovid COMMAND --help` has the rest.
class BriefList : public CLI::Formatter {
 public:
  std::string make_subcommand(const CLI::App* command) const override {
    const std::string description = command->get_description();
    std::stringstream out;
    CLI::detail::format_help(out, command->get_name(),
                             description.substr(0, description.find('\n')), column_width_);
    return out.str();
  }
};

int run(int argc, char** argv) {
  std::signal(SIGPIPE,
              SIG_IGN);  // a closed pipe is an error of write, not the end of a training run
  CLI::App app("Ovid trains and fine-tunes GPT-2. Every run is driven by one YAML file.", "ovid");
  app.set_version_flag("--version", std::string("ovid ") + kVersion);
  app.require_subcommand(1);
  app.formatter(std::make_shared<BriefList>());
  app.footer(
      "First steps: ./quickstart, or `ovid train configs/quickstart.yaml`. `ovid COMMAND --help` "
      "has examples.");
  TrainOptions train;
  PlanOptions plan;
  SimulateOptions simulate;
  GenerateOptions generate;
  ChatOptions chat;
  EvalOptions eval;
  CheckpointOptions checkpoint;
  CheckpointPruneOptions prune;
  CheckpointExportOptions exported;
  DoctorOptions doctor;
  SelftestOptions selftest;
  ConfigOptions config;
  RunsOptions runs;
  FlightOptions flight;
  Command chosen;
  add_train(app, train, chosen);
  add_plan(app, plan, chosen);
  add_simulate(app, simulate, chosen);
  add_generate(app, generate, chosen);
  add_chat(app, chat, chosen);
  add_eval(app, eval, chosen);
  add_checkpoint(app, checkpoint, prune, exported, chosen);
  add_doctor(app, doctor, chosen);
  add_selftest(app, selftest, chosen);
  add_config(app, config, chosen);
  add_runs(app, runs, chosen);
  add_distributed(app, flight, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --help, --version
    log::error(std::string(e.what()) + "; try --help");
    return static_cast<int>(ExitCode::kUsage);
  }
  return static_cast<int>(run_guarded(chosen));
}

}  // namespace
}  // namespace ovid::cli

int main(int argc, char** argv) {
  return ovid::cli::run(argc, argv);
}
