#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "src/cli/command_line.h"
#include "src/evaluation/task.h"

namespace ovid::cli {
namespace {

std::string eval_help() {
  std::string help = R"(Mean next-token loss of a model on token shards, or what a task measures.

Examples:
  ovid eval --model runs/demo/checkpoints/step-00001000 --data data/validation_000000.bin
  ovid eval --model DIR --data 'data/validation_*.bin' --length 512 --json
  ovid eval --model DIR --task amazon-reviews --data reviews --output report.html
  ovid eval --model DIR --task persona-chat --data dialogues --part test --json

Without --task: consecutive windows of --length tokens; what does not fill a window at the end is
left out.

Tasks:
)";
  for (const evaluation::Task& task : evaluation::tasks()) {
    help += fmt::format("  {}: {}.\n    Figures: {}.\n    --data: {}.\n", task.name, task.what,
                        task.metrics, task.data);
  }
  return help +
         "A task's figures are a pure function of model, data, settings and seed. "
         "docs/guides/reports.md\ndefines each and says what it can bear.";
}

void add_task_options(CLI::App& command, EvalOptions& options) {
  CLI::Option* const task = command.add_option("--task", options.task, "one of those above");
  evaluation::TaskSettings& settings = options.settings;
  const auto add = [&](const char* name, auto& value, const char* help) {
    return command.add_option(name, value, help)->needs(task)->group("Task");
  };
  add("--part", settings.part, "validation or test")->capture_default_str();
  add("--limit", settings.limit, "reviews (evenly spaced) or turns (the first) to score; 0 is all")
      ->capture_default_str();
  add("--samples", settings.samples,
      "texts that the model writes: reviews, 200 by default; replies, one for each turn by "
      "default; "
      "0 is none");
  add("--max-new-tokens", settings.max_new_tokens,
      "tokens of a written text at most: 100 of a review, 40 of a reply by default");
  add("--temperature", settings.temperature,
      "of written texts: 1 for reviews, 0 (greedy) for replies by default");
  add("--top-k", settings.top_k, "keep the k most probable tokens; 0 keeps all")
      ->capture_default_str();
  add("--top-p", settings.top_p, "keep the most probable tokens up to this probability")
      ->capture_default_str();
  add("--seed", settings.seed, "of written texts and of the bootstrap")->capture_default_str();
  command
      .add_flag("--without-prefix", settings.without_prefix,
                "the model was trained on reviews without control words: the yardstick of no "
                "control")
      ->needs(task)
      ->group("Task");
  command
      .add_option(
          "--output", options.output,
          "also write the report there, as its name ends: .md, .html, .json or .txt; may be "
          "given several times")
      ->allow_extra_args(false)
      ->needs(task)
      ->group("Task");
}

}  // namespace

void add_eval(CLI::App& app, EvalOptions& options, Command& chosen) {
  CLI::App* command = app.add_subcommand("eval", eval_help());
  command->add_option("--model", options.model, "a checkpoint, or any Hugging Face GPT-2 directory")
      ->required();
  command
      ->add_option("--data", options.data,
                   "token shards, laid end to end; patterns are allowed. With --task its data")
      ->required();
  command->add_option("--length", options.length, "tokens of a window; 0 is the model's context")
      ->capture_default_str();
  add_task_options(*command, options);
  add_device_options(*command, options.device);
  add_precision_option(*command, options.device);
  command->add_flag("--json", options.json,
                    "one JSON object: {loss, perplexity, tokens}, or the task's");
  command->callback([&] {
    chosen = [&] { return options.task.empty() ? run_eval(options) : run_eval_task(options); };
  });
}

}  // namespace ovid::cli
