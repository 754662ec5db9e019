#include "src/cli/command_line.h"

#include <CLI/CLI.hpp>

#include "src/config/config.h"

namespace ovid::cli {
namespace {

// What a config is made of, in lines that fit a terminal.
std::string outline_of_configs() {
  std::string out = "Sections of a config:";
  std::size_t column = out.size();
  for (const std::string& name : config::section_names()) {
    if (column + name.size() + 1 > 96) {
      out += "\n ";
      column = 1;
    }
    out += " " + name;
    column += name.size() + 1;
  }
  out += "\nKeys of the top level:";
  for (const std::string& name : config::top_level_names()) out += " " + name;
  return out +
         "\n`ovid config explain SECTION` tells their keys, `ovid config explain SECTION.KEY` one,"
         "\n`ovid config show CONFIG` the values that a run would take, and where each comes from.";
}

}  // namespace

void add_train(CLI::App& app, TrainOptions& options, Command& chosen) {
  CLI::App* command =
      app.add_subcommand("train", R"(Start or continue the run that a config describes.

Examples:
  ovid train configs/quickstart.yaml
  ovid train configs/quickstart.yaml run.name=second optimizer.learning_rate=3e-4
  ovid train configs/gpt2-124m.yaml device.threads=8
  ovid train configs/gpt2-124m.yaml --processes 4

The same command continues a run that was stopped (Ctrl-C, SIGTERM) or killed, from its newest valid
checkpoint.)");
  command
      ->add_option("CONFIG", options.config, "the YAML file; `ovid config explain` lists all keys")
      ->required();
  command->add_option("KEY=VALUE", options.overrides,
                      "settings that override the file's, with dotted keys");
  command
      ->add_option("--processes", options.processes,
                   "ranks to start on this machine; mpirun and srun start them on several")
      ->capture_default_str();
  command
      ->add_option("--restarts", options.restarts,
                   "with --processes: how often all ranks are started again after one failed")
      ->capture_default_str();
  command->add_flag("--profile", options.profile,
                    "time every op; a table at the end, and profile.json in the run's directory");
  command->footer(outline_of_configs());
  command->callback([&] { chosen = [&] { return run_train(options); }; });
}

void add_plan(CLI::App& app, PlanOptions& options, Command& chosen) {
  CLI::App* command = app.add_subcommand("plan", R"(What a run needs, before it starts.

Examples:
  ovid plan configs/quickstart.yaml
  ovid plan configs/gpt2-124m.yaml batch.micro_sequences=4 recompute=block
  ovid plan configs/gpt2-124m.yaml --processes 8 distributed.zero_stage=1 --json

Parameters, the bytes of every arena and the peak of memory, disk for checkpoints, tokens,
operations, and the time by a measurement of parts of the model on this machine. Writes nothing.
Exit code 6 where memory or disk would not do, with the one setting that would fit.)");
  command->add_option("CONFIG", options.config, "the YAML file")->required();
  command->add_option("KEY=VALUE", options.overrides, "settings that override the file's");
  command
      ->add_option("--processes", options.processes,
                   "as for train: ranks on this machine; memory is then that of the first")
      ->capture_default_str();
  command->add_flag("--no-timing", options.no_timing, "leave the measurement of speed out");
  command->add_flag("--json", options.json, "one JSON object on standard output");
  command->callback([&] { chosen = [&] { return run_plan(options); }; });
}

void add_simulate(CLI::App& app, SimulateOptions& options, Command& chosen) {
  CLI::App* command = app.add_subcommand("simulate", R"(A run on a thousand devices, on paper.

Examples:
  ovid simulate configs/gpt2-124m.yaml --ranks 512
  ovid simulate configs/gpt2-1558m.yaml distributed.zero_stage=1 --ranks 64 --bandwidth 25 --json

Plays some steps of all ranks without their arithmetic: shares of the batch, the order of the data,
collectives, parts of a checkpoint. Refuses what would hang or be there twice; tells the time of a
step by a model of the network, and what failures would cost a long run. Nothing is measured.)");
  command->add_option("CONFIG", options.config, "the YAML file")->required();
  command->add_option("KEY=VALUE", options.overrides, "settings that override the file's");
  command->add_option("--ranks", options.ranks, "how many devices")->capture_default_str();
  command->add_option("--steps", options.steps, "that are played")->capture_default_str();
  command->add_option("--latency", options.latency_us, "of a message, in microseconds")
      ->capture_default_str();
  command->add_option("--bandwidth", options.bandwidth_gb, "out of each rank, in GB/s")
      ->capture_default_str();
  command->add_option("--teraflops", options.teraflops, "that each rank computes, per second")
      ->capture_default_str();
  command->add_option("--disk", options.disk_gb, "what all ranks together write, in GB/s")
      ->capture_default_str();
  command->add_option("--failure-hours", options.failure_hours, "of a rank between failures, mean")
      ->capture_default_str();
  command->add_option("--repair-minutes", options.repair_minutes, "from a failure to the next step")
      ->capture_default_str();
  command
      ->add_option("--interval-minutes", options.interval_minutes,
                   "between checkpoints; 0: Young's optimum, at most 15")
      ->capture_default_str();
  command->add_flag("--json", options.json, "one JSON object on standard output");
  command->callback([&] { chosen = [&] { return run_simulate(options); }; });
}

void add_config(CLI::App& app, ConfigOptions& options, Command& chosen) {
  CLI::App* group = app.add_subcommand("config", R"(Explain and show configs.

Examples:
  ovid config explain optimizer.learning_rate
  ovid config explain schedule --json
  ovid config show configs/quickstart.yaml training.steps=100)");
  group->require_subcommand(1);
  CLI::App* explain =
      group->add_subcommand("explain", "What a key or section means, its range and default.");
  explain->add_option("KEY", options.key_or_file, "a key, a section, or nothing for all");
  explain->add_flag("--json", options.json, "one JSON object on standard output");
  explain->callback([&] { chosen = [&] { return run_config_explain(options); }; });
  CLI::App* show =
      group->add_subcommand("show", "The resolved config with the origin of each value.");
  show->add_option("CONFIG", options.key_or_file, "the YAML file")->required();
  show->add_option("KEY=VALUE", options.overrides, "settings that override the file's");
  show->add_flag("--json", options.json, "one JSON object on standard output");
  show->callback([&] { chosen = [&] { return run_config_show(options); }; });
  CLI::App* reference = group->add_subcommand("reference", "The page docs/configuration.md.");
  reference->callback([&] { chosen = [] { return run_config_reference(); }; });
}

void add_runs(CLI::App& app, RunsOptions& options, Command& chosen) {
  CLI::App* group = app.add_subcommand("runs", R"(List, show and compare runs.

Examples:
  ovid runs ls
  ovid runs show runs/demo
  ovid runs compare runs/first runs/second --json
  ovid runs report runs/demo

RUN is a run's directory. A run is done, running (a process holds its lock) or stopped.)");
  group->require_subcommand(1);
  const auto add = [&](const char* name, const char* help, ExitCode (*run)(const RunsOptions&)) {
    CLI::App* command = group->add_subcommand(name, help);
    command->callback(
        [&options, &chosen, run] { chosen = [&options, run] { return run(options); }; });
    return command;
  };
  CLI::App* ls = add("ls", "The runs in a folder, a line each.", run_runs_list);
  ls->add_option("DIR", options.directory, "the folder")->capture_default_str();
  ls->add_flag("--json", options.json, "one JSON object a run on standard output");
  CLI::App* show = add("show", "One run: its numbers, checkpoints, events.", run_runs_show);
  show->add_option("RUN", options.directory, "a run's directory")->required();
  show->add_flag("--json", options.json, "one JSON object, with the config");
  CLI::App* compare =
      add("compare",
          "What differs in the configs, losses at common steps, the first step that differs.",
          run_runs_compare);
  compare->add_option("RUN", options.runs, "two run directories or more")->required();
  compare->add_flag("--json", options.json, "one JSON object on standard output");
  CLI::App* report = add("report", "Write RUN/report.html again.", run_runs_report);
  report->add_option("RUN", options.directory, "a run's directory")->required();
}

void add_selftest(CLI::App& app, SelftestOptions& options, Command& chosen) {
  CLI::App* command = app.add_subcommand("selftest", R"(Check every kernel of this machine's device.

Examples:
  ovid selftest
  ovid selftest --device cuda
  ovid selftest --device cpu --quick
  ovid selftest --only attention --json

Each op runs in each number type of the device, on small odd sizes and on GPT-2's, twice. Results
are compared with double precision within limits derived from the arithmetic, and the two runs with
each other bit by bit; the formulas themselves with finite differences. Then a small model trains
some steps, beside the same on the CPU. Exit code 1 where a check fails: the table says what to
report.)");
  add_device_options(*command, options.device);
  command->add_flag("--quick", options.quick, "small sizes only: some seconds");
  command->add_option("--only", options.only, "checks whose name contains this");
  command->add_option("--seed", options.seed, "of the random operands")->capture_default_str();
  command->add_flag("--json", options.json, "one JSON object {about, passed, failed, checks}");
  command->callback([&] { chosen = [&] { return run_selftest(options); }; });
}

void add_doctor(CLI::App& app, DoctorOptions& options, Command& chosen) {
  CLI::App* command = app.add_subcommand("doctor", R"(Examine this machine for training.

Examples:
  ovid doctor
  ovid doctor --directory /scratch/runs --json

Each line is good, doubtful or bad, with what was found and the cure; exit code 6 where one is bad.
Measures disk and matrix products for a few seconds.)");
  command->add_option("--directory", options.directory, "where runs will be written")
      ->capture_default_str();
  command->add_flag("--json", options.json, "one JSON object on standard output");
  command->callback([&] { chosen = [&] { return run_doctor(options); }; });
}

}  // namespace ovid::cli
