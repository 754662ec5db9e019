#include <fmt/format.h>
#include <unistd.h>

#include "src/chat/chat_program.h"
#include "src/chat/persona_file.h"
#include "src/checkpoint/hugging_face_model.h"
#include "src/cli/chat_views.h"
#include "src/cli/commands.h"
#include "src/cli/device_options.h"
#include "src/cli/sampling_options.h"
#include "src/cli/standard_output.h"
#include "src/core/log.h"
#include "src/tokenizer/control_words.h"
#include "src/training/parameter_files.h"

namespace ovid::cli {
namespace {

using tokenizer::ControlKind;

void check_options(const ChatOptions& options) {
  if (options.history == 0 || options.history < -1) {
    throw UsageError(fmt::format(
        "--history {} is not possible: 1 or more utterances, or -1 for all", options.history));
  }
  constexpr std::int64_t kMany = 100'000'000;
  if (options.max_new_tokens < 1 || options.max_new_tokens > kMany) {
    throw UsageError(
        fmt::format("--max-new-tokens {} is outside 1 to {}", options.max_new_tokens, kMany));
  }
  if (options.format != "auto" && options.format != "persona-chat" && options.format != "plain") {
    throw UsageError(
        fmt::format("--format {} is none of auto, persona-chat, plain", options.format));
  }
}

Path tokenizer_folder(const std::string& model) {
  const auto where = training::find_tokenizer(model);
  if (where) return *where;
  throw CheckpointError(fmt::format(
      "{} has no tokenizer (vocab.json and merges.txt): copy the tokenizer's files there", model));
}

// As the control words beside the tokenizer say; a model that learned no dialogues writes a script
// of two speakers.
prompts::DialogueLayout layout_of(const ChatOptions& options, const tokenizer::Tokenizer& tokenizer,
                                  const Path& folder) {
  const auto control = tokenizer::load_control_words(folder);
  const bool learned_dialogues = control && control->task == prompts::kDialogueTask;
  if (options.format == "persona-chat" || (options.format == "auto" && learned_dialogues)) {
    return {tokenizer, learned_dialogues ? control->kind : ControlKind::kText};
  }
  if (options.format == "auto") {
    log::info(fmt::format(
        "no {} beside the model says that it learned dialogues, so it goes on with a script of A "
        "and B; --format persona-chat has the lines of ovid-data persona-chat",
        tokenizer::kControlFile));
  }
  return {tokenizer, ControlKind::kText, {"", "A:", "B:"}};
}

void converse(chat::ChatProgram& program, ChatInput& input, bool terminal) {
  for (;;) {
    if (terminal) {
      (void)input.take_interrupt();  // one that came too late for the reply ends nothing else
      print("> ");
    }
    const std::optional<std::string> line = input.next();
    if (!line) break;
    if (!program.follow(*line)) return;
  }
  if (terminal) print_line("");  // behind the prompt that nobody answered
}

}  // namespace

ExitCode run_chat(const ChatOptions& options) {
  check_options(options);
  const generation::SamplingSettings sampling{.temperature = options.temperature,
                                              .top_k = options.top_k,
                                              .top_p = options.top_p,
                                              .min_p = options.min_p,
                                              .repetition_penalty = options.repetition_penalty,
                                              .seed = options.seed ? *options.seed : drawn_seed()};
  check_sampling(sampling);
  std::vector<std::string> persona;
  if (!options.persona.empty()) persona = chat::read_persona(options.persona);
  const Path folder = tokenizer_folder(options.model);
  const auto tokenizer = tokenizer::Tokenizer::load(folder.string());
  const prompts::DialogueLayout layout = layout_of(options, tokenizer, folder);
  const memory::OpenTarget open = open_target(options.device);
  const training::LoadedModel model = training::load_model(options.model, open.target);
  chat::ChatSession session(
      {.config = model.config, .weights = model.weights.views(), .target = open.target}, tokenizer,
      layout,
      {.sampling = sampling, .max_new_tokens = options.max_new_tokens, .history = options.history});
  session.set_persona(std::move(persona));

  const bool terminal = !options.json && isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0;
  ChatInput input(terminal);
  const auto view = options.json ? json_view() : terminal ? terminal_view(input) : line_view();
  chat::ChatFiles files{.transcript = std::nullopt, .show_layout = options.show_layout};
  if (!options.transcript.empty()) files.transcript = options.transcript;
  chat::ChatProgram program(session, tokenizer, *view, std::move(files));
  if (!options.json) {
    log::info(fmt::format("seed {0} (--seed {0} repeats this){1}", sampling.seed,
                          terminal ? "; /help lists the commands" : ""));
  }
  converse(program, input, terminal);
  return ExitCode::kDone;
}

}  // namespace ovid::cli
