#include <CLI/CLI.hpp>

#include "src/cli/command_line.h"

namespace ovid::cli {

void add_distributed(CLI::App& app, FlightOptions& options, Command& chosen) {
  CLI::App* group =
      app.add_subcommand("distributed", R"(Explain what happened to a run of many ranks.

Examples:
  ovid distributed flight runs/demo/flight
  ovid distributed flight rank-00000.jsonl rank-00001.jsonl --json)");
  group->require_subcommand(1);
  CLI::App* flight =
      group->add_subcommand("flight", R"(The first rank that differs, by the ranks' flight dumps.

Ranks keep their last 1,024 collectives and write them to RUN/flight when one hangs or fails, and on
SIGUSR2. This command lays the dumps side by side and names the first collective in which ranks
differ, to which a rank did not come, or which a rank did not leave.)");
  flight->add_option("PATH", options.places, "dumps, or folders of them")->required();
  flight->add_flag("--json", options.json, "one JSON object on standard output");
  flight->callback([&] { chosen = [&] { return run_distributed_flight(options); }; });
}

}  // namespace ovid::cli
