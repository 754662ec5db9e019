#include "src/evaluation/persona_chat.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "src/core/error.h"
#include "src/evaluation/dialogue_report.h"
#include "src/evaluation/dialogue_scores.h"
#include "src/evaluation/held_out_data.h"
#include "src/evaluation/report_frame.h"
#include "src/evaluation/written_replies.h"

namespace ovid::evaluation {
namespace {

constexpr std::int64_t kMaxNewTokens = 40;

bool has_persona(std::span<const DialogueTurn> turns) {
  return std::any_of(turns.begin(), turns.end(), [](const DialogueTurn& turn) {
    return !prompts::parse_context(turn.context).persona.empty();
  });
}

std::vector<CandidateScores> scores_of(const TaskRun& run, const prompts::DialogueLayout& layout,
                                       std::span<const DialogueTurn> turns, ContextKind context) {
  const char* stage = "scoring candidates";
  if (context == ContextKind::kWithoutPersona) stage = "the same without persona";
  if (context == ContextKind::kNothing) stage = "the same without context";
  return score_candidates(
      {.model = run.model,
       .layout = layout,
       .context = context,
       .on_progress = [&](std::int64_t done, std::int64_t all) { run.progress(stage, done, all); }},
      turns);
}

DialogueFigures figures_of(const TaskRun& run, const prompts::DialogueLayout& layout,
                           std::span<const DialogueTurn> turns) {
  const auto scores = [&](ContextKind context) { return scores_of(run, layout, turns, context); };
  const std::vector<CandidateScores> of_nothing = scores(ContextKind::kNothing);
  DialogueFigures figures{
      .with_persona = rank_candidates(turns, scores(ContextKind::kWhole), of_nothing),
      .without_persona = std::nullopt};
  if (has_persona(turns)) {
    figures.without_persona =
        rank_candidates(turns, scores(ContextKind::kWithoutPersona), of_nothing);
  }
  return figures;
}

WrittenReplies replies_of(const TaskRun& run, const prompts::DialogueLayout& layout,
                          std::span<const DialogueTurn> turns) {
  const TaskSettings& settings = run.settings;
  WrittenReplies written;
  written.sampling = {.temperature = settings.temperature.value_or(0.0),
                      .top_k = settings.top_k,
                      .top_p = settings.top_p,
                      .seed = settings.seed};
  written.model = write_replies(
      {.model = run.model,
       .tokenizer = run.tokenizer,
       .layout = layout,
       .sampling = written.sampling,
       .max_new_tokens = settings.max_new_tokens.value_or(kMaxNewTokens),
       .on_progress = [&](std::int64_t done,
                          std::int64_t all) { run.progress("writing replies", done, all); }},
      turns);
  return written;
}

}  // namespace

TaskReport evaluate_persona_chat(const TaskRun& run) {
  check_settings(run.settings);
  check_dataset_kind(run.data, "persona-chat");
  const prompts::DialogueLayout layout(run.tokenizer, run.control.kind);
  std::vector<DialogueTurn> turns = read_dialogue_turns(run.data, run.settings.part);
  if (run.settings.limit > 0 && std::ssize(turns) > run.settings.limit)
    turns.erase(turns.begin() + run.settings.limit, turns.end());
  TaskReport report = begin_report("persona-chat", run);
  ReportJson json;
  const DialogueFigures figures = figures_of(run, layout, turns);
  json.emplace_back("ranking", report_ranking(figures, report));
  const std::int64_t samples = std::min(run.settings.samples.value_or(std::ssize(turns)),
                                        static_cast<std::int64_t>(std::ssize(turns)));
  if (samples > 0) {
    const auto answered =
        std::span<const DialogueTurn>(turns).first(static_cast<std::size_t>(samples));
    json.emplace_back("replies",
                      report_replies(replies_of(run, layout, answered), answered, report));
  }
  finish_json(run, json, report);
  return report;
}

}  // namespace ovid::evaluation
