#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "src/evaluation/held_out_data.h"
#include "src/evaluation/interval.h"
#include "src/generation/generator.h"
#include "src/prompts/dialogue_prompt.h"

namespace ovid::evaluation {

// What stands before the candidates of a turn.
enum class ContextKind { kWhole, kWithoutPersona, kNothing };

struct CandidateScoring {
  const generation::GenerationModel& model;
  const prompts::DialogueLayout& layout;
  ContextKind context = ContextKind::kWhole;
  std::function<void(std::int64_t done, std::int64_t all)> on_progress = nullptr;
};

// Of one turn, by candidate.
struct CandidateScores {
  std::vector<double> sums;          // log probabilities of all tokens, nats
  std::vector<std::int64_t> tokens;  // how many
  bool trimmed = false;              // the context lost its oldest utterances
};

// How well the model expects each candidate behind the context: a space, its text and a line end.
// Where context and longest candidate do not fit the model's context, the oldest utterances are
// left out. Throws DataError where even the longest candidate alone does not fit, and the errors of
// ContinuationScorer.
std::vector<CandidateScores> score_candidates(const CandidateScoring& scoring,
                                              std::span<const DialogueTurn> turns);

// Whether candidate `gold` has a higher score than every other; those with its very text are it.
bool ranks_first(std::span<const double> scores, std::span<const std::string> candidates,
                 std::size_t gold);

// Grouped by dialogue: consecutive turns of one number.
struct DialogueScores {
  RatioTally replies;       // nats of the human replies, for each token
  RatioTally hits_by_sum;   // for each turn: the human reply has the highest sum
  RatioTally hits_by_mean;  // the highest mean for each token, which does not favour short ones
  // The highest sum less that behind an empty context: what the context adds, which does not favour
  // phrases that fit anywhere. Pointwise mutual information (Li et al. 2016).
  RatioTally hits_by_gain;
  double chance = 0;         // of a hit: mean of 1 / candidates
  std::int64_t trimmed = 0;  // turns
};

// `scores` and `of_nothing` (behind ContextKind::kNothing) as score_candidates gives them for
// `turns`. Pure.
DialogueScores rank_candidates(std::span<const DialogueTurn> turns,
                               std::span<const CandidateScores> scores,
                               std::span<const CandidateScores> of_nothing);

}  // namespace ovid::evaluation
