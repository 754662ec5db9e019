#include <CLI/CLI.hpp>

#include "src/cli/command_line.h"

namespace ovid::cli {

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
  ovid generate --model REVIEWS --stars 1 --category Fashion --samples 10 --top-p 0.95
  ovid generate --model REVIEWS --stars 5 --category Software --headline "Works" --samples 0

Text is printed while it is made; with several prompts or samples, in their order. A sample ends
after --max-new-tokens, at the model's <|endoftext|>, or before a --stop text. It depends on the
model, the prompt, the settings, the seed and its number alone: the same in any batch, from any file
of prompts and on any number of threads.

With --json each sample is one line: {"sample", "seed", "prompt_tokens", "tokens", "text",
"finish_reason"}, where finish_reason is "length" or "stop"; with --prompts also "prompt", the
number of the prompt from 0 on, with --stars "stars", "category" and "headline". "text" is what was
added, without the stop text; "tokens" are all that were drawn.

--stars and --category order a review of a model that was trained on `ovid-data amazon-reviews`: the
prompt is laid out as in its data, by the control.json beside the model's tokenizer. --samples 0
writes samples without end, each shown when it is whole, until Ctrl-C or until nobody reads on.)");
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
  const char* const reviews = "Reviews to order";
  command->add_option("--stars", options.stars, "1 to 5, in place of a prompt")->group(reviews);
  command->add_option("--category", options.category, "of the product, as in the data: Fashion")
      ->group(reviews);
  command->add_option("--headline", options.headline, "of the review; the model writes the rest")
      ->group(reviews);
  const char* const length = "Length";
  command
      ->add_option("--max-new-tokens", options.max_new_tokens,
                   "tokens to add at most; 64, of reviews 256")
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
  command->add_option("--samples", options.samples, "continuations of each prompt; 0: without end")
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

}  // namespace ovid::cli
