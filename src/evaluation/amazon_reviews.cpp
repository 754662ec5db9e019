#include "src/evaluation/amazon_reviews.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/core/error.h"
#include "src/evaluation/held_out_data.h"
#include "src/evaluation/report_frame.h"
#include "src/evaluation/review_control.h"
#include "src/evaluation/review_report.h"
#include "src/evaluation/review_scores.h"

namespace ovid::evaluation {
namespace {

constexpr std::int64_t kSamples = 200, kMaxNewTokens = 100;

bool is_without_prefix(const TaskRun& run) {
  return run.settings.without_prefix || run.control.kind == tokenizer::ControlKind::kNone;
}

// Evenly spaced, at most `limit`; 0: all.
std::vector<HeldOutReview> limited(std::vector<HeldOutReview> reviews, std::int64_t limit) {
  const auto most = static_cast<std::size_t>(limit);
  if (limit == 0 || reviews.size() <= most) return reviews;
  std::vector<HeldOutReview> chosen;
  for (std::size_t i = 0; i < most; ++i) chosen.push_back(reviews[i * reviews.size() / most]);
  return chosen;
}

void score_held_out(const TaskRun& run, const prompts::ReviewLayout& layout, TaskReport& report,
                    ReportJson& json) {
  const std::vector<HeldOutReview> reviews =
      limited(read_held_out_reviews(run.data, run.settings.part), run.settings.limit);
  if (reviews.empty()) {
    throw DataError(fmt::format("{} holds no reviews of its {} part: choose another --part",
                                run.data.string(), run.settings.part));
  }
  const ReviewPerplexity perplexity = score_reviews(
      {.model = run.model,
       .tokenizer = run.tokenizer,
       .layout = layout,
       .without_prefix = is_without_prefix(run),
       .on_progress = [&](std::int64_t done,
                          std::int64_t all) { run.progress("scoring reviews", done, all); }},
      reviews);
  json.emplace_back("perplexity", report_perplexity(perplexity, report));
}

void judge_written(const TaskRun& run, const prompts::ReviewLayout& layout, TaskReport& report,
                   ReportJson& json) {
  const TaskSettings& settings = run.settings;
  // The judge may learn from both parts: the model was trained on neither.
  std::vector<HeldOutReview> held_out = read_held_out_reviews(run.data, "validation");
  for (HeldOutReview& review : read_held_out_reviews(run.data, "test"))
    held_out.push_back(std::move(review));
  const std::optional<ReviewControl> control = measure_control(
      {.model = run.model,
       .tokenizer = run.tokenizer,
       .layout = layout,
       .without_prefix = is_without_prefix(run),
       .sampling = {.temperature = settings.temperature.value_or(1.0),
                    .top_k = settings.top_k,
                    .top_p = settings.top_p,
                    .seed = settings.seed},
       .samples = settings.samples.value_or(kSamples),
       .max_new_tokens = settings.max_new_tokens.value_or(kMaxNewTokens),
       .on_progress = [&](std::int64_t done,
                          std::int64_t all) { run.progress("writing reviews", done, all); }},
      held_out);
  if (!control) {
    report.notes.push_back(fmt::format(
        "No control accuracy: the held-out parts have fewer than {} reviews of 1 and 2 stars, or "
        "of 5, and no judge can learn from so few.",
        kFewestJudgeTexts));
    json.emplace_back("control", "null");
    return;
  }
  json.emplace_back("control", report_control(*control, report));
}

}  // namespace

TaskReport evaluate_amazon_reviews(const TaskRun& run) {
  check_settings(run.settings);
  check_dataset_kind(run.data, "amazon-reviews");
  const prompts::ReviewLayout layout(run.tokenizer, run.control.kind);
  TaskReport report = begin_report("amazon-reviews", run);
  if (is_without_prefix(run)) {
    report.notes.emplace_back(
        "Without control words: no stars are asked for, so that control accuracy shows what chance "
        "and the judge make of reviews that nobody ordered.");
  }
  ReportJson json;
  score_held_out(run, layout, report, json);
  if (run.settings.samples.value_or(kSamples) > 0) judge_written(run, layout, report, json);
  finish_json(run, json, report);
  return report;
}

}  // namespace ovid::evaluation
