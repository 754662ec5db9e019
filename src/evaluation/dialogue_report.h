#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/evaluation/dialogue_scores.h"
#include "src/evaluation/task_report.h"
#include "src/evaluation/written_replies.h"
#include "src/generation/sampler.h"

// The figures about dialogues as tables, sentences and JSON.
namespace ovid::evaluation {

struct DialogueFigures {
  DialogueScores with_persona;
  std::optional<DialogueScores> without_persona;  // absent: the dialogues have none
};

struct WrittenReplies {
  generation::SamplingSettings sampling;
  std::vector<std::string> model;  // one for each turn
};

// Each adds its table, notes and samples to `report` and returns its part of the JSON object.
std::string report_ranking(const DialogueFigures& figures, TaskReport& report);
std::string report_replies(const WrittenReplies& written, std::span<const DialogueTurn> turns,
                           TaskReport& report);

}  // namespace ovid::evaluation
