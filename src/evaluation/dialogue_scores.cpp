#include "src/evaluation/dialogue_scores.h"

#include <algorithm>

#include "src/evaluation/continuation_scorer.h"

namespace ovid::evaluation {
namespace {

using Tokens = std::vector<std::int32_t>;

prompts::DialogueContext context_of(const DialogueTurn& turn, ContextKind kind) {
  if (kind == ContextKind::kNothing) return {};
  prompts::DialogueContext context = prompts::parse_context(turn.context);
  if (kind == ContextKind::kWithoutPersona) context.persona.clear();
  return context;
}

CandidateScores score_turn(const CandidateScoring& scoring, const DialogueTurn& turn,
                           ContinuationScorer& scorer) {
  CandidateScores scores;
  std::vector<Tokens> candidates;
  std::size_t longest = 0;
  for (const std::string& candidate : turn.candidates) {
    candidates.push_back(scoring.layout.reply(candidate));
    scores.tokens.push_back(std::ssize(candidates.back()));
    longest = std::max(longest, candidates.back().size());
  }
  // The last token of a candidate is predicted, never read.
  const auto most = static_cast<std::size_t>(scoring.model.config.context_length) + 1;
  const prompts::FittedContext fitted =
      scoring.layout.fit(context_of(turn, scoring.context), most, longest);
  scores.trimmed = fitted.trimmed();
  scores.sums = scorer.score(fitted.tokens, candidates);
  return scores;
}

std::int64_t most_candidates(std::span<const DialogueTurn> turns) {
  constexpr std::size_t kTogether = 32;  // more are scored in turns
  std::size_t most = 1;
  for (const DialogueTurn& turn : turns) most = std::max(most, turn.candidates.size());
  return static_cast<std::int64_t>(std::min(most, kTogether));
}

// Sums over the turns of one dialogue.
struct DialogueSums {
  double nats = 0, by_sum = 0, by_mean = 0, by_gain = 0;
  std::int64_t tokens = 0, turns = 0;

  void add_to(DialogueScores& scores) const {
    scores.replies.add(nats, tokens);
    scores.hits_by_sum.add(by_sum, turns);
    scores.hits_by_mean.add(by_mean, turns);
    scores.hits_by_gain.add(by_gain, turns);
  }
};

void add_turn(const DialogueTurn& turn, const CandidateScores& scores,
              const CandidateScores& of_nothing, DialogueSums& sums) {
  std::vector<double> means, gains;
  for (std::size_t i = 0; i < scores.sums.size(); ++i) {
    means.push_back(scores.sums[i] / static_cast<double>(scores.tokens[i]));
    gains.push_back(scores.sums[i] - of_nothing.sums[i]);
  }
  const auto hit = [&](std::span<const double> values) {
    return ranks_first(values, turn.candidates, turn.gold) ? 1.0 : 0.0;
  };
  sums.nats -= scores.sums[turn.gold];
  sums.tokens += scores.tokens[turn.gold];
  sums.by_sum += hit(scores.sums);
  sums.by_mean += hit(means);
  sums.by_gain += hit(gains);
  ++sums.turns;
}

}  // namespace

std::vector<CandidateScores> score_candidates(const CandidateScoring& scoring,
                                              std::span<const DialogueTurn> turns) {
  std::vector<CandidateScores> scores;
  if (turns.empty()) return scores;
  ContinuationScorer scorer(scoring.model, most_candidates(turns));
  for (const DialogueTurn& turn : turns) {
    scores.push_back(score_turn(scoring, turn, scorer));
    if (scoring.on_progress) scoring.on_progress(std::ssize(scores), std::ssize(turns));
  }
  return scores;
}

bool ranks_first(std::span<const double> scores, std::span<const std::string> candidates,
                 std::size_t gold) {
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (i == gold || candidates[i] == candidates[gold]) continue;
    if (!(scores[gold] > scores[i])) return false;
  }
  return true;
}

DialogueScores rank_candidates(std::span<const DialogueTurn> turns,
                               std::span<const CandidateScores> scores,
                               std::span<const CandidateScores> of_nothing) {
  DialogueScores all;
  DialogueSums sums;
  for (std::size_t i = 0; i < turns.size(); ++i) {
    add_turn(turns[i], scores[i], of_nothing[i], sums);
    all.trimmed += scores[i].trimmed ? 1 : 0;
    all.chance +=
        1.0 / static_cast<double>(turns[i].candidates.size()) / static_cast<double>(turns.size());
    if (i + 1 < turns.size() && turns[i + 1].dialogue == turns[i].dialogue) continue;
    sums.add_to(all);
    sums = {};
  }
  return all;
}

}  // namespace ovid::evaluation
