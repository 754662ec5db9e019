#include "src/cli/command_line.h"

#include <CLI/CLI.hpp>

namespace ovid::cli {
namespace {

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

void add_generate(CLI::App& app, GenerateOptions& options, Command& chosen) {
  CLI::App* command = app.add_subcommand("generate", R"(Continue texts with a trained model.

Examples:
  ovid generate --model runs/demo/checkpoints/step-00001000 --prompt "In the beginning"
  ovid generate --model DIR --prompt "" --samples 3 --temperature 0.8 --top-k 50
  ovid generate --model DIR --prompt $'Q: Why?\nA:' --stop $'\n' --stop "Q:" --max-new-tokens 200
  ovid generate --model DIR --prompt "Once" --repetition-penalty 1.2 --top-p 0.95 --seed 7
  ovid generate --model DIR --prompts questions.txt --batch 16 --json > answers.jsonl
  zcat prompts.jsonl.gz | ovid generate --model DIR --prompts - --jsonl --temperature 0 --json
  ovid generate --model DIR --prompt-ids 15496,995 --temperature 0 --json

Text is printed while it is made; with several prompts or samples, in their order. A sample ends
after --max-new-tokens, at the model's <|endoftext|>, or before a --stop text. It depends on the
model, the prompt, the settings, the seed and its number alone: the same in any batch, from any file
of prompts and on any number of threads.

With --json each sample is one line: {"sample", "seed", "prompt_tokens", "tokens", "text",
"finish_reason"}, where finish_reason is "length" or "stop"; with --prompts also "prompt", the
number of the prompt from 0 on. "text" is what was added, without the stop text; "tokens" are all
that were drawn.)");
  command->add_option("--model", options.model, "a checkpoint, or any Hugging Face GPT-2 directory")
      ->required();
  command->add_option("--prompt", options.prompt, "text to continue; empty for a new document")
      ->group("Prompts (one of these)");
  command
      ->add_option("--prompts", options.prompts,
                   "file with a prompt on each line, - for standard input; of .jsonl files each "
                   "line is {\"prompt\": TEXT}")
      ->group("Prompts (one of these)");
  command->add_option("--prompt-ids", options.prompt_ids, "token ids to continue, parted by commas")
      ->group("Prompts (one of these)");
  command->add_flag("--jsonl", options.jsonl, "the lines of --prompts are JSON, whatever its name");
  const char* const length = "Length";
  command->add_option("--max-new-tokens", options.max_new_tokens, "tokens to add at most")
      ->capture_default_str()
      ->group(length);
  command->add_option("--stop", options.stop, "text that ends a sample; may be given several times")
      ->allow_extra_args(false)
      ->group(length);
  const char* const sampling = "Sampling";
  command->add_option("--temperature", options.temperature, "0 is greedy")
      ->capture_default_str()
      ->group(sampling);
  command->add_option("--top-k", options.top_k, "keep the k most probable tokens; 0 keeps all")
      ->capture_default_str()
      ->group(sampling);
  command
      ->add_option("--top-p", options.top_p, "keep the most probable tokens up to this probability")
      ->capture_default_str()
      ->group(sampling);
  command
      ->add_option("--min-p", options.min_p,
                   "keep tokens at least this many times as probable as the most probable one")
      ->capture_default_str()
      ->group(sampling);
  command
      ->add_option("--repetition-penalty", options.repetition_penalty,
                   "above 1 makes tokens of the prompt and the text so far less probable")
      ->capture_default_str()
      ->group(sampling);
  command
      ->add_option("--seed", options.seed, "of the random numbers; drawn and printed where absent")
      ->group(sampling);
  command->add_option("--samples", options.samples, "continuations of each prompt")
      ->capture_default_str();
  command
      ->add_option("--batch", options.batch,
                   "samples decoded together; 0 is 8, or fewer where memory is short")
      ->capture_default_str();
  add_device_options(*command, options.device);
  add_precision_option(*command, options.device);
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
  add_device_options(*command, options.device);
  add_precision_option(*command, options.device);
  command->add_flag("--json", options.json, "one JSON object {loss, perplexity, tokens}");
  command->callback([&] { chosen = [&] { return run_eval(options); }; });
}

void add_checkpoint(CLI::App& app, CheckpointOptions& options, CheckpointPruneOptions& prune,
                    Command& chosen) {
  CLI::App* group = app.add_subcommand("checkpoint", R"(Look after checkpoints.

Examples:
  ovid checkpoint verify runs/demo/checkpoints/step-00001000
  ovid checkpoint inspect runs/demo/checkpoints/step-00001000 --json
  ovid checkpoint ls runs/demo
  ovid checkpoint pin runs/demo/checkpoints/step-00001000
  ovid checkpoint prune runs/demo --keep-last 2 --keep-every 5000 --dry-run)");
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
}

}  // namespace ovid::cli
