#include "src/evaluation/dialogue_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "src/evaluation/figures.h"

namespace ovid::evaluation {
namespace {

using nlohmann::ordered_json;

constexpr std::int64_t kFewTurns = 200;

Share hits_of(const RatioTally& hits) {
  return {static_cast<std::int64_t>(std::llround(hits.sum())), hits.units()};
}

ordered_json interval_json(const Interval& interval) {
  return ordered_json::array({interval.low, interval.high});
}

ordered_json hits_json(const RatioTally& hits) {
  const Share share = hits_of(hits);
  return {{"hits", share.hits},
          {"share", share.value()},
          {"wilson_95", interval_json(wilson_interval(share))},
          {"by_dialogue_95", interval_json(hits.interval())}};
}

ordered_json scores_json(const DialogueScores& scores) {
  return {{"turns", scores.hits_by_sum.units()},
          {"dialogues", scores.hits_by_sum.groups()},
          {"tokens", scores.replies.units()},
          {"loss", scores.replies.mean()},
          {"loss_by_dialogue_95", interval_json(scores.replies.interval())},
          {"perplexity", std::exp(scores.replies.mean())},
          {"hits_at_1", hits_json(scores.hits_by_sum)},
          {"hits_at_1_by_mean", hits_json(scores.hits_by_mean)},
          {"hits_at_1_by_gain", hits_json(scores.hits_by_gain)},
          {"chance", scores.chance},
          {"trimmed_contexts", scores.trimmed}};
}

// "12.1 % (9.9 to 14.6)"
std::string with_interval(double share, const Interval& interval) {
  return fmt::format("{} ({} to {})", shown_percent(share), shown(100 * interval.low, 1),
                     shown(100 * interval.high, 1));
}

std::vector<std::string> score_row(const char* name, const DialogueScores& scores) {
  const auto hits = [](const RatioTally& tally) {
    return with_interval(hits_of(tally).value(), wilson_interval(hits_of(tally)));
  };
  return {name,
          std::to_string(scores.hits_by_sum.units()),
          shown_perplexity(scores.replies.mean()) + " (" +
              shown_perplexity(scores.replies.interval()) + ")",
          hits(scores.hits_by_sum),
          hits(scores.hits_by_mean),
          hits(scores.hits_by_gain)};
}

void note_ranking(const DialogueFigures& figures, TaskReport& report) {
  const DialogueScores& scores = figures.with_persona;
  report.notes.push_back(fmt::format(
      "Perplexity is for each token of the human replies ({} tokens), its line end included. "
      "hits@1: "
      "of all candidates the human reply has the highest sum of log probabilities; by mean: the "
      "highest mean for each token; by gain: the highest sum less that behind an empty context. "
      "Chance: {}.",
      scores.replies.units(), shown_percent(scores.chance)));
  report.notes.push_back(
      fmt::format("Intervals of hits@1 are Wilson's, as if turns were independent. Those of a "
                  "dialogue resemble "
                  "each other: by dialogue ({}) it is {}, by gain {}.",
                  scores.hits_by_sum.groups(), shown_percent(scores.hits_by_sum.interval()),
                  shown_percent(scores.hits_by_gain.interval())));
  if (scores.hits_by_sum.units() < kFewTurns) {
    report.notes.push_back(
        fmt::format("{} turns are few: differences of some percent between models are chance.",
                    scores.hits_by_sum.units()));
  }
  if (wilson_interval(hits_of(scores.hits_by_sum)).low <= scores.chance) {
    report.notes.push_back(
        "The interval of hits@1 reaches chance: by its sums the model is not shown to rank at "
        "all.");
  }
  if (scores.trimmed > 0) {
    report.notes.push_back(
        fmt::format("{} contexts are longer than the model's and lost their oldest utterances.",
                    scores.trimmed));
  }
}

std::string shown_f1(const RatioTally& f1) {
  return with_interval(f1.mean(), f1.interval());
}

std::vector<std::string> reply_row(const char* name, const ReplyVariety& variety,
                                   const std::string& f1) {
  return {name,
          f1,
          shown(variety.unigrams.share(), 3),
          shown(variety.bigrams.share(), 3),
          shown_percent(variety.repeated_4grams),
          shown_percent(variety.repeated_replies),
          shown(variety.words, 1)};
}

ordered_json variety_json(const ReplyVariety& variety) {
  return {{"distinct_1", variety.unigrams.share()},
          {"distinct_2", variety.bigrams.share()},
          {"unigrams", variety.unigrams.all},
          {"bigrams", variety.bigrams.all},
          {"repeated_4grams", variety.repeated_4grams},
          {"repeated_replies", variety.repeated_replies},
          {"words", variety.words}};
}

ordered_json f1_json(const RatioTally& f1) {
  return {{"mean", f1.mean()}, {"by_dialogue_95", interval_json(f1.interval())}};
}

std::vector<std::string> human_replies(std::span<const DialogueTurn> turns) {
  std::vector<std::string> replies;
  for (const DialogueTurn& turn : turns) replies.push_back(turn.candidates[turn.gold]);
  return replies;
}

// The last lines of a context and both replies.
void add_samples(const WrittenReplies& written, std::span<const DialogueTurn> turns,
                 TaskReport& report) {
  constexpr std::size_t kShown = 10;
  const std::size_t count = std::min(turns.size(), kShown);
  for (std::size_t s = 0; s < count; ++s) {
    const std::size_t i = s * turns.size() / count;
    report.samples.emplace_back(fmt::format("dialogue {}", turns[i].dialogue),
                                fmt::format("{}\n(model) {}\n(human) {}", turns[i].context,
                                            written.model[i], turns[i].candidates[turns[i].gold]));
  }
}

}  // namespace

std::string report_ranking(const DialogueFigures& figures, TaskReport& report) {
  ReportTable table{.title = "Human replies: perplexity, and rank among the candidates",
                    .headings = {"context", "turns", "perplexity (95 %)", "hits@1 (95 %)",
                                 "by mean (95 %)", "by gain (95 %)"},
                    .alignment = "lrrrrr",
                    .rows = {score_row("with persona", figures.with_persona)}};
  ordered_json json = {{"with_persona", scores_json(figures.with_persona)},
                       {"without_persona", nullptr}};
  if (figures.without_persona) {
    table.rows.push_back(score_row("without persona", *figures.without_persona));
    json["without_persona"] = scores_json(*figures.without_persona);
  }
  report.tables.push_back(std::move(table));
  note_ranking(figures, report);
  return json.dump();
}

std::string report_replies(const WrittenReplies& written, std::span<const DialogueTurn> turns,
                           TaskReport& report) {
  const std::vector<std::string> human = human_replies(turns), other = other_replies(turns);
  const RatioTally f1 = measure_f1(written.model, turns), f1_of_other = measure_f1(other, turns);
  const ReplyVariety of_model = measure_variety(written.model), of_human = measure_variety(human);
  const bool greedy = written.sampling.temperature <= 0;
  report.tables.push_back(
      {.title = fmt::format(
           "Written replies ({})",
           greedy ? std::string("greedy")
                  : fmt::format("temperature {}, top-k {}, top-p {}", written.sampling.temperature,
                                written.sampling.top_k, written.sampling.top_p)),
       .headings = {"replies", "word F1", "distinct-1", "distinct-2", "repeated 4-grams",
                    "repeated replies", "words"},
       .alignment = "lrrrrrr",
       .rows = {
           reply_row("model", of_model, shown_f1(f1)), reply_row("human", of_human, "100.0 %"),
           reply_row("human, to another context", measure_variety(other), shown_f1(f1_of_other))}});
  report.notes.push_back(
      "Word F1 of a human reply to another context is what words that all replies share are worth; "
      "distinct-n falls with the number of replies, so compare it at equal counts only.");
  add_samples(written, turns, report);
  ordered_json json = {{"count", std::ssize(turns)},
                       {"temperature", written.sampling.temperature},
                       {"top_k", written.sampling.top_k},
                       {"top_p", written.sampling.top_p},
                       {"f1", f1_json(f1)},
                       {"f1_of_another_human_reply", f1_json(f1_of_other)},
                       {"model", variety_json(of_model)},
                       {"human", variety_json(of_human)}};
  for (std::size_t i = 0; i < turns.size(); ++i) {
    json["written"].push_back(
        {{"dialogue", turns[i].dialogue}, {"model", written.model[i]}, {"human", human[i]}});
  }
  return json.dump();
}

}  // namespace ovid::evaluation
