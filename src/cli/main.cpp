#include <CLI/CLI.hpp>
#include <csignal>
#include <functional>

#include "src/cli/commands.h"
#include "src/core/log.h"
#include "src/core/program.h"
#include "src/core/version.h"

namespace ovid::cli {
namespace {

using Command = std::function<ExitCode()>;

void add_train(CLI::App& app, TrainOptions& options, Command& chosen) {
  CLI::App* command =
      app.add_subcommand("train", R"(Start or continue the run that a config describes.

Examples:
  ovid train configs/quickstart.yaml
  ovid train configs/quickstart.yaml run.name=second optimizer.learning_rate=3e-4
  ovid train configs/gpt2-124m.yaml device.threads=8

The same command continues a run that was stopped (Ctrl-C, SIGTERM) or killed, from its newest valid
checkpoint.)");
  command
      ->add_option("CONFIG", options.config, "the YAML file; `ovid config explain` lists all keys")
      ->required();
  command->add_option("KEY=VALUE", options.overrides,
                      "settings that override the file's, with dotted keys");
  command->add_option("--processes", options.processes, "local ranks; this version has one");
  command->callback([&] { chosen = [&] { return run_train(options); }; });
}

void add_generate(CLI::App& app, GenerateOptions& options, Command& chosen) {
  CLI::App* command = app.add_subcommand("generate", R"(Continue a prompt with a trained model.

Examples:
  ovid generate --model runs/demo/checkpoints/step-00001000 --prompt "In the beginning"
  ovid generate --model DIR --prompt "" --samples 3 --temperature 0.8 --top-k 50
  ovid generate --model DIR --prompt-ids 15496,995 --temperature 0 --json

A sample depends on the model, the prompt, the settings, the seed and its number alone.)");
  command->add_option("--model", options.model, "a checkpoint, or any Hugging Face GPT-2 directory")
      ->required();
  command->add_option("--prompt", options.prompt, "text to continue; empty for a new document");
  command->add_option("--prompt-ids", options.prompt_ids,
                      "token ids to continue, parted by commas");
  command->add_option("--max-new-tokens", options.max_new_tokens, "tokens to add at most")
      ->capture_default_str();
  command->add_option("--temperature", options.temperature, "0 is greedy")->capture_default_str();
  command->add_option("--top-k", options.top_k, "keep the k most probable tokens; 0 keeps all")
      ->capture_default_str();
  command
      ->add_option("--top-p", options.top_p, "keep the most probable tokens up to this probability")
      ->capture_default_str();
  command->add_option("--seed", options.seed,
                      "of the random numbers; drawn and printed where absent");
  command->add_option("--samples", options.samples, "how many continuations")
      ->capture_default_str();
  command->add_option("--threads", options.threads, "CPU threads; 0 is all cores")
      ->capture_default_str();
  command->add_flag("--json", options.json, "one JSON object a sample on standard output");
  command->callback([&] { chosen = [&] { return run_generate(options); }; });
}

void add_eval(CLI::App& app, EvalOptions& options, Command& chosen) {
  CLI::App* command = app.add_subcommand("eval", R"(Mean next-token loss of a model on token shards.

Examples:
  ovid eval --model runs/demo/checkpoints/step-00001000 --data data/validation_000000.bin
  ovid eval --model DIR --data 'data/validation_*.bin' --length 512 --json

Consecutive windows of --length tokens; what does not fill a window at the end is left out.)");
  command->add_option("--model", options.model, "a checkpoint, or any Hugging Face GPT-2 directory")
      ->required();
  command->add_option("--data", options.data, "token shards, laid end to end; patterns are allowed")
      ->required();
  command->add_option("--length", options.length, "tokens of a window; 0 is the model's context")
      ->capture_default_str();
  command->add_option("--threads", options.threads, "CPU threads; 0 is all cores")
      ->capture_default_str();
  command->add_flag("--json", options.json, "one JSON object {loss, perplexity, tokens}");
  command->callback([&] { chosen = [&] { return run_eval(options); }; });
}

void add_checkpoint(CLI::App& app, CheckpointOptions& options, Command& chosen) {
  CLI::App* group = app.add_subcommand("checkpoint", R"(Look after checkpoints.

Examples:
  ovid checkpoint verify runs/demo/checkpoints/step-00001000
  ovid checkpoint inspect runs/demo/checkpoints/step-00001000 --json)");
  group->require_subcommand(1);
  const auto add = [&](const char* name, const char* help,
                       ExitCode (*run)(const CheckpointOptions&)) {
    CLI::App* command = group->add_subcommand(name, help);
    command->add_option("DIR", options.directory, "a checkpoint or model directory")->required();
    command->add_flag("--json", options.json, "one JSON object on standard output");
    command->callback(
        [&options, &chosen, run] { chosen = [&options, run] { return run(options); }; });
  };
  add("verify", "Check sizes, hashes, names and shapes; exit code 4 where anything differs.",
      run_checkpoint_verify);
  add("inspect", "Show what a checkpoint holds.", run_checkpoint_inspect);
}

void add_config(CLI::App& app, ConfigOptions& options, Command& chosen) {
  CLI::App* group = app.add_subcommand("config", R"(Explain and show configs.

Examples:
  ovid config explain optimizer.learning_rate
  ovid config show configs/quickstart.yaml training.steps=100)");
  group->require_subcommand(1);
  CLI::App* explain =
      group->add_subcommand("explain", "What a key or section means, its range and default.");
  explain->add_option("KEY", options.key_or_file, "a key, a section, or nothing for all");
  explain->callback([&] { chosen = [&] { return run_config_explain(options); }; });
  CLI::App* show =
      group->add_subcommand("show", "The resolved config with the origin of each value.");
  show->add_option("CONFIG", options.key_or_file, "the YAML file")->required();
  show->add_option("KEY=VALUE", options.overrides, "settings that override the file's");
  show->callback([&] { chosen = [&] { return run_config_show(options); }; });
  CLI::App* reference = group->add_subcommand("reference", "The page docs/configuration.md.");
  reference->callback([&] { chosen = [] { return run_config_reference(); }; });
}

int run(int argc, char** argv) {
  std::signal(SIGPIPE,
              SIG_IGN);  // a closed pipe is an error of write, not the end of a training run
  CLI::App app("Ovid trains and fine-tunes GPT-2. Every run is driven by one YAML file.", "ovid");
  app.set_version_flag("--version", std::string("ovid ") + kVersion);
  app.require_subcommand(1);
  app.footer(
      "First steps: ./quickstart, or `ovid train configs/quickstart.yaml`. `ovid COMMAND --help` "
      "has examples.");
  TrainOptions train;
  GenerateOptions generate;
  EvalOptions eval;
  CheckpointOptions checkpoint;
  ConfigOptions config;
  Command chosen;
  add_train(app, train, chosen);
  add_generate(app, generate, chosen);
  add_eval(app, eval, chosen);
  add_checkpoint(app, checkpoint, chosen);
  add_config(app, config, chosen);
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
