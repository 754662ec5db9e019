#include "src/evaluation/review_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <set>

#include "src/evaluation/figures.h"

namespace ovid::evaluation {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kShownCategories = 10;
constexpr std::int64_t kFewReviews = 30;  // below, a mean over them says little

constexpr std::array<const char*, kReviewConditions> kConditionKeys = {"own_words", "wrong_stars",
                                                                       "no_words"};

std::string shown_stars(int stars) {
  return fmt::format("{} star{}", stars, stars == 1 ? "" : "s");
}

double per(double nats, std::int64_t count) {
  return count > 0 ? nats / static_cast<double>(count) : 0.0;
}

// The condition whose figures stand for the model: what it was trained on.
ReviewCondition main_condition(const ReviewPerplexity& of) {
  return of.without_prefix ? kNoPrefix : kItsOwn;
}

std::vector<std::string> score_row(const ReviewPerplexity& of, const std::string& name,
                                   const ReviewScores& scores) {
  const RatioTally& losses = scores.losses[main_condition(of)];
  std::vector<std::string> row{name,
                               std::to_string(losses.groups()),
                               std::to_string(losses.units()),
                               shown_perplexity(losses.mean()),
                               shown_perplexity(losses.interval()),
                               shown_perplexity(per(losses.sum(), scores.words)),
                               shown(per(losses.sum(), scores.bytes) / std::numbers::ln2, 3)};
  if (of.without_prefix) return row;
  row.push_back(shown_perplexity(scores.losses[kWrongStars].mean()));
  row.push_back(shown_perplexity(scores.losses[kNoPrefix].mean()));
  return row;
}

std::vector<std::pair<std::string, const ReviewScores*>> by_count(
    const std::map<std::string, ReviewScores>& categories) {
  std::vector<std::pair<std::string, const ReviewScores*>> sorted;
  for (const auto& [name, scores] : categories) sorted.emplace_back(name, &scores);
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return a.second->losses[kNoPrefix].groups() > b.second->losses[kNoPrefix].groups();
  });
  return sorted;
}

ReportTable perplexity_table(const ReviewPerplexity& of) {
  ReportTable table{
      .title = "Perplexity",
      .headings = {"reviews", "count", "tokens", "a token", "95 %", "a word", "bits a byte"},
      .alignment = "lrrrrrr",
      .rows = {}};
  if (!of.without_prefix) {
    table.headings.insert(table.headings.end(), {"wrong stars", "no words"});
    table.alignment += "rr";
  }
  table.rows.push_back(score_row(of, "all", of.all));
  for (std::size_t i = 0; i < of.stars.size(); ++i) {
    if (of.stars[i].losses[kNoPrefix].groups() == 0) continue;
    table.rows.push_back(score_row(of, shown_stars(static_cast<int>(i) + 1), of.stars[i]));
  }
  const auto categories = by_count(of.categories);
  for (std::size_t i = 0; i < std::min(categories.size(), kShownCategories); ++i) {
    const std::string& name = categories[i].first;
    table.rows.push_back(score_row(of, name.empty() ? "no category" : name, *categories[i].second));
  }
  return table;
}

void note_perplexity(const ReviewPerplexity& of, TaskReport& report) {
  std::int64_t few = 0;
  for (const auto& category : of.categories)
    few += category.second.losses[kNoPrefix].groups() < kFewReviews ? 1 : 0;
  const std::int64_t all = std::ssize(of.categories);
  if (all > static_cast<std::int64_t>(kShownCategories)) {
    report.notes.push_back(
        fmt::format("{} of {} categories are shown; --json has all.", kShownCategories, all));
  }
  if (few > 0) {
    report.notes.push_back(
        fmt::format("{} of {} categories have fewer than {} reviews: perplexities of theirs differ "
                    "by chance alone as much as by the model.",
                    few, all, kFewReviews));
  }
  if (of.cut > 0) {
    report.notes.push_back(
        fmt::format("{} reviews are longer than the model's context of {}: only their beginnings "
                    "count.",
                    of.cut, of.context_length));
  }
  if (of.without_prefix) return;
  const RatioTally& gain = of.all.gain;
  const Interval interval = gain.interval();
  report.notes.push_back(
      fmt::format("Wrong stars cost {:.4f} nats a token (95 %: {:.4f} to {:.4f}): {}", gain.mean(),
                  interval.low, interval.high,
                  interval.low > 0 ? "the model heeds the control words, as much as that."
                                   : "this does not show that the model heeds the control words."));
}

ordered_json interval_json(const Interval& interval) {
  return ordered_json::array({interval.low, interval.high});
}

ordered_json scores_json(const ReviewPerplexity& of, const ReviewScores& scores) {
  ordered_json json = {{"reviews", scores.losses[kNoPrefix].groups()},
                       {"tokens", scores.losses[kNoPrefix].units()},
                       {"words", scores.words},
                       {"bytes", scores.bytes}};
  for (std::size_t c = 0; c < kReviewConditions; ++c) {
    if (of.without_prefix && c != kNoPrefix) continue;
    const RatioTally& losses = scores.losses[c];
    json[kConditionKeys[c]] = {
        {"loss", losses.mean()},
        {"loss_95", interval_json(losses.interval())},
        {"perplexity", std::exp(losses.mean())},
        {"word_perplexity", std::exp(per(losses.sum(), scores.words))},
        {"bits_per_byte", per(losses.sum(), scores.bytes) / std::numbers::ln2}};
  }
  if (!of.without_prefix) {
    json["loss_of_wrong_stars"] = {{"mean", scores.gain.mean()},
                                   {"interval_95", interval_json(scores.gain.interval())}};
  }
  return json;
}

ordered_json perplexity_json(const ReviewPerplexity& of) {
  ordered_json json = {{"all", scores_json(of, of.all)}, {"cut", of.cut}};
  for (std::size_t i = 0; i < of.stars.size(); ++i)
    json["stars"][std::to_string(i + 1)] = scores_json(of, of.stars[i]);
  for (const auto& [name, scores] : of.categories)
    json["categories"][name] = scores_json(of, scores);
  return json;
}

ReportTable control_table(const ReviewControl& control) {
  const Share both = control.both();
  const JudgeAccuracy& people = control.on_people;
  const auto row = [](const char* name, const Share& share) {
    return std::vector<std::string>{name, std::to_string(share.trials),
                                    shown_percent(share.value()),
                                    shown_percent(wilson_interval(share)), ""};
  };
  ReportTable table{.title = "Control accuracy: the judge finds the stars that were asked for",
                    .headings = {"reviews", "count", "right", "95 % (Wilson)", "95 % (bootstrap)"},
                    .alignment = "lrrrr",
                    .rows = {row("written for 1 and 2 stars", control.negative),
                             row("written for 5 stars", control.positive), row("both", both)}};
  table.rows.back().back() = shown_percent(control.bootstrap);
  table.rows.push_back({"chance", "", "50.0 %", "", ""});
  table.rows.push_back(row("human, 1 and 2 stars", people.negative));
  table.rows.push_back(row("human, 5 stars", people.positive));
  table.rows.push_back({"human, both alike", "", shown_percent(people.balanced()),
                        shown_percent(mean_interval(people.negative, people.positive)), ""});
  return table;
}

double distinct_share(const std::vector<WrittenReview>& written) {
  std::set<std::string> texts;
  for (const WrittenReview& review : written) texts.insert(review.text);
  return static_cast<double>(texts.size()) / static_cast<double>(written.size());
}

void note_control(const ReviewControl& control, TaskReport& report) {
  constexpr std::int64_t kFewJudgeTexts = 200;
  const JudgeAccuracy& people = control.on_people;
  const Interval ceiling = mean_interval(people.negative, people.positive);
  report.notes.push_back(fmt::format(
      "The judge learned from {} human reviews of 1 and 2 stars and {} of 5, none of which the "
      "model was trained on, and calls {} of human ones right ({} folds; its threshold balances "
      "both kinds): the most that written ones can be expected to reach.",
      people.negative.trials, people.positive.trials, shown_percent(people.balanced()),
      control.folds));
  const std::int64_t fewest = std::min(people.negative.trials, people.positive.trials);
  if (ceiling.low <= 0.5) {
    report.notes.push_back(
        "The judge is not shown to be better than chance on human reviews: control accuracy says "
        "nothing here. More held-out reviews are needed.");
  } else if (fewest < kFewJudgeTexts) {
    report.notes.push_back(fmt::format(
        "{} reviews of the rarer class are few: the judge itself is uncertain, which the bootstrap "
        "interval counts in and Wilson's does not. Two models whose bootstrap intervals overlap "
        "are not told apart.",
        fewest));
  }
  const Interval wilson = wilson_interval(control.both());
  if (std::min(wilson.low, control.bootstrap.low) <= 0.5) {
    report.notes.push_back("An interval that reaches 50 % does not show control.");
  }
  const double distinct = distinct_share(control.written);
  if (distinct < 1) {
    report.notes.push_back(fmt::format(
        "Only {} of the written reviews are distinct texts: the intervals take all for independent "
        "and are too narrow by that.",
        shown_percent(distinct)));
  }
}

void add_samples(const ReviewControl& control, TaskReport& report) {
  constexpr int kShown = 10;
  int negative = 0, positive = 0;
  for (const WrittenReview& review : control.written) {
    if (review.stars == 2 || ++(review.stars == 5 ? positive : negative) > kShown) continue;
    report.samples.emplace_back(
        fmt::format("{}, {}: judged {}", shown_stars(review.stars),
                    review.category.empty() ? "no category" : review.category,
                    review.log_odds > 0 ? "positive" : "negative"),
        review.text);
  }
}

ordered_json share_json(const Share& share) {
  return {{"right", share.hits},
          {"count", share.trials},
          {"share", share.value()},
          {"wilson_95", interval_json(wilson_interval(share))}};
}

ordered_json control_json(const ReviewControl& control) {
  ordered_json json = share_json(control.both());
  json["bootstrap_95"] = interval_json(control.bootstrap);
  json["negative"] = share_json(control.negative);
  json["positive"] = share_json(control.positive);
  json["chance"] = 0.5;
  const JudgeAccuracy& people = control.on_people;
  json["judge_on_people"] = {
      {"balanced", people.balanced()},
      {"interval_95", interval_json(mean_interval(people.negative, people.positive))},
      {"negative", share_json(people.negative)},
      {"positive", share_json(people.positive)},
      {"folds", control.folds}};
  for (const WrittenReview& review : control.written) {
    json["written"].push_back({{"stars", review.stars},
                               {"category", review.category},
                               {"log_odds", review.log_odds},
                               {"ended", review.ended},
                               {"text", review.text}});
  }
  return json;
}

}  // namespace

std::string report_perplexity(const ReviewPerplexity& perplexity, TaskReport& report) {
  report.tables.push_back(perplexity_table(perplexity));
  note_perplexity(perplexity, report);
  return perplexity_json(perplexity).dump();
}

std::string report_control(const ReviewControl& control, TaskReport& report) {
  report.tables.push_back(control_table(control));
  note_control(control, report);
  add_samples(control, report);
  return control_json(control).dump();
}

}  // namespace ovid::evaluation
