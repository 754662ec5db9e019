#include "src/cli/command_line.h"

#include <CLI/CLI.hpp>

namespace ovid::cli {
namespace {

void add_checkpoint_export(CLI::App& group, CheckpointExportOptions& options, Command& chosen) {
  CLI::App* command = group.add_subcommand(
      "export",
      "Write a model on its own, for other programs: low-rank adapters merged, no training state. "
      "A Hugging Face model directory.");
  command->add_option("DIR", options.directory, "a checkpoint or model directory")->required();
  command->add_option("--output", options.output, "a new folder")->required();
  command
      ->add_option("--precision", options.precision,
                   "of the weights: float32, bfloat16 or float16, rounded to nearest")
      ->capture_default_str();
  command->add_option("--threads", options.threads, "CPU threads; 0 is all cores")
      ->capture_default_str();
  command->add_flag("--json", options.json, "one JSON object {path, parameters, bytes, precision}");
  command->callback([&] { chosen = [&] { return run_checkpoint_export(options); }; });
}

void add_checkpoint_prune(CLI::App& group, CheckpointPruneOptions& options, Command& chosen) {
  CLI::App* command = group.add_subcommand(
      "prune",
      "Remove old checkpoints of a run that is not training. Step 0, the best, the newest and "
      "pinned ones always stay.");
  command->add_option("RUN", options.run, "the run's folder, such as runs/demo")->required();
  command->add_option("--keep-last", options.keep_last, "the newest so many stay")
      ->capture_default_str();
  command
      ->add_option("--keep-every", options.keep_every,
                   "steps divisible by it stay; 0: none for that")
      ->capture_default_str();
  command->add_flag("--dry-run", options.dry_run, "only say what would be removed");
  command->add_flag("--json", options.json,
                    "one JSON object {removed, kept, freed_bytes, dry_run}");
  command->callback([&] { chosen = [&] { return run_checkpoint_prune(options); }; });
}

}  // namespace

void add_device_options(CLI::App& command, DeviceOptions& options) {
  const char* const group = "Device";
  command.add_option("--device", options.device, "auto, cpu or cuda; auto takes a GPU that works")
      ->capture_default_str()
      ->group(group);
  command.add_option("--device-index", options.index, "which of several GPUs")
      ->capture_default_str()
      ->group(group);
  command.add_option("--threads", options.threads, "CPU threads; 0 is all cores")
      ->capture_default_str()
      ->group(group);
}

void add_precision_option(CLI::App& command, DeviceOptions& options) {
  command
      .add_option("--precision", options.precision,
                  "float32, bfloat16 or float16; the last two need a GPU")
      ->capture_default_str()
      ->group("Device");
}

void add_checkpoint(CLI::App& app, CheckpointOptions& options, CheckpointPruneOptions& prune,
                    CheckpointExportOptions& exported, Command& chosen) {
  CLI::App* group = app.add_subcommand("checkpoint", R"(Look after checkpoints.

Examples:
  ovid checkpoint verify runs/demo/checkpoints/step-00001000
  ovid checkpoint inspect runs/demo/checkpoints/step-00001000 --json
  ovid checkpoint ls runs/demo
  ovid checkpoint pin runs/demo/checkpoints/step-00001000
  ovid checkpoint prune runs/demo --keep-last 2 --keep-every 5000 --dry-run
  ovid checkpoint export runs/demo/checkpoints/step-00001000 --output my-gpt2)");
  group->require_subcommand(1);
  const auto add = [&](const char* name, const char* help,
                       ExitCode (*run)(const CheckpointOptions&)) {
    CLI::App* command = group->add_subcommand(name, help);
    command->callback(
        [&options, &chosen, run] { chosen = [&options, run] { return run(options); }; });
    return command;
  };
  const auto with_directory = [&](CLI::App* command, const char* name, const char* help) {
    command->add_option(name, options.directory, help)->required();
    return command;
  };
  const auto with_json = [&](CLI::App* command, const char* help) {
    command->add_flag("--json", options.json, help);
  };
  constexpr const char* kModel = "a checkpoint or model directory";
  constexpr const char* kCheckpoint = "such as runs/demo/checkpoints/step-00001000";
  constexpr const char* kOneObject = "one JSON object on standard output";
  with_json(with_directory(add("verify",
                               "Check sizes, hashes, names and shapes; exit code 4 where anything "
                               "differs.",
                               run_checkpoint_verify),
                           "DIR", kModel),
            kOneObject);
  with_json(with_directory(add("inspect", "Show what a checkpoint holds.", run_checkpoint_inspect),
                           "DIR", kModel),
            kOneObject);
  with_json(with_directory(add("ls", "List a run's checkpoints.", run_checkpoint_list), "RUN",
                           "the run's folder, such as runs/demo"),
            "one JSON object a checkpoint: {step, path, bytes, valid, pinned, best, loss, "
            "validation_loss}");
  with_directory(add("pin", "Keep a checkpoint from being pruned.", run_checkpoint_pin), "DIR",
                 kCheckpoint);
  with_directory(add("unpin", "Let a checkpoint be pruned again.", run_checkpoint_unpin), "DIR",
                 kCheckpoint);
  add_checkpoint_prune(*group, prune, chosen);
  add_checkpoint_export(*group, exported, chosen);
}

}  // namespace ovid::cli
