#include <CLI/CLI.hpp>

#include "src/cli/command_line.h"

namespace ovid::cli {

void add_chat(CLI::App& app, ChatOptions& options, Command& chosen) {
  CLI::App* command = app.add_subcommand("chat", R"(Talk with a trained model.

Examples:
  ovid chat --model runs/persona/checkpoints/step-00001000 --persona persona.txt
  ovid chat --model DIR --persona persona.txt --seed 7 --transcript talk.txt
  ovid chat --model DIR --history 4 --temperature 0.7 --top-k 40
  printf 'hi !\nwhat do you do ?\n' | ovid chat --model DIR --persona persona.txt --seed 7
  ovid chat --model DIR --json < lines.txt > replies.jsonl
  ovid chat --model DIR --format plain

Lines that begin with a slash are commands: /persona (add TEXT, remove N, load FILE), /retry, /undo,
/history N, /save FILE, /layout, /help, /quit. A reply ends at its line end or at <|endoftext|>;
Ctrl-C ends it at once, and at the prompt it ends the conversation, as Ctrl-D does.

The model sees its persona, the utterances in the layout of `ovid-data persona-chat` and no more of
them than fit its context: the oldest are left out. A model that learned no dialogues (no
control.json beside its tokenizer says so) goes on with a script of A, who is you, and B.

Without a terminal each line is answered by one line on standard output, messages go to standard
error, and an error ends the conversation. With --json each line is answered by one object: {"turn",
"seed", "message", "reply", "prompt_tokens", "tokens", "finish_reason", "dropped_utterances",
"reused_tokens"}, {"command", "text"} or {"error", "line"}. With the same seed the same lines have
the same replies.)");
  command->add_option("--model", options.model, "a checkpoint, or any Hugging Face GPT-2 directory")
      ->required();
  const char* const conversation = "Conversation";
  command->add_option("--persona", options.persona, "file with a trait of the model on each line")
      ->group(conversation);
  command
      ->add_option("--format", options.format,
                   "persona-chat, plain, or auto: as the model's control.json says")
      ->capture_default_str()
      ->group(conversation);
  command->add_option("--history", options.history, "utterances that the model sees; -1: all")
      ->capture_default_str()
      ->group(conversation);
  command
      ->add_option("--transcript", options.transcript,
                   "new file that holds the conversation after each turn")
      ->group(conversation);
  command->add_flag("--show-layout", options.show_layout, "of each reply: what the model saw")
      ->group(conversation);
  command->add_option("--max-new-tokens", options.max_new_tokens, "of a reply, at most")
      ->capture_default_str()
      ->group(conversation);
  const char* const sampling = "Sampling";
  const auto add_sampling = [&](const char* name, auto& option, const char* help) {
    command->add_option(name, option, help)->capture_default_str()->group(sampling);
  };
  add_sampling("--temperature", options.temperature, "0 is greedy");
  add_sampling("--top-k", options.top_k, "keep the k most probable tokens; 0 keeps all");
  add_sampling("--top-p", options.top_p,
               "keep the most probable tokens up to this probability; 1 keeps all");
  add_sampling("--min-p", options.min_p,
               "keep tokens at least this many times as probable as the most probable one");
  add_sampling("--repetition-penalty", options.repetition_penalty,
               "above 1 makes tokens that the model sees less probable");
  command
      ->add_option("--seed", options.seed, "of the random numbers; drawn and printed where absent")
      ->group(sampling);
  add_device_options(*command, options.device);
  add_precision_option(*command, options.device);
  command->add_flag("--json", options.json, "one JSON object for each line");
  command->callback([&] { chosen = [&] { return run_chat(options); }; });
}

}  // namespace ovid::cli
