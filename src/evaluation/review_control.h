#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/evaluation/held_out_data.h"
#include "src/evaluation/review_scores.h"
#include "src/evaluation/sentiment_judge.h"

namespace ovid::evaluation {

// A review that the model wrote to order.
struct WrittenReview {
  int stars = 0;
  std::string category;
  std::string text;  // without the control words; UTF-8
  std::int64_t tokens = 0;
  bool ended = false;   // with the end of the text, before the limit
  double log_odds = 0;  // of the judge: above 0 positive
  bool agrees() const { return stars == 5 ? log_odds > 0 : log_odds < 0; }
};

struct ReviewControl {
  std::vector<WrittenReview> written;  // half asked as 1 and 2 stars in turn, half as 5
  Share negative, positive;            // how many of them the judge agrees with
  Share both() const { return {negative.hits + positive.hits, negative.trials + positive.trials}; }
  Interval bootstrap;       // of both, over judge and samples
  JudgeAccuracy on_people;  // cross-validated on the human reviews that the judge learns from
  std::size_t folds = 0;
};

struct ReviewControlSettings {
  const generation::GenerationModel& model;
  const tokenizer::Tokenizer& tokenizer;
  const prompts::ReviewLayout& layout;
  bool without_prefix = false;  // nothing is asked for: the yardstick of no control
  generation::SamplingSettings sampling;
  std::int64_t samples = 0;  // in all
  std::int64_t max_new_tokens = 0;
  std::function<void(std::int64_t done, std::int64_t all)> on_progress = nullptr;
};

// Human reviews of 1 and 2 stars, and of 5, that a judge may learn from: none that the model was
// trained on.
inline constexpr std::size_t kFewestJudgeTexts = 10;  // of each class, for any figure at all

// Writes reviews, and has them judged by a classifier that learns from `held_out` alone; nothing
// where either class has fewer than kFewestJudgeTexts there. The categories asked for are the eight
// most frequent of `held_out`, in its proportions, the same for few and many stars. A pure function
// of its arguments. Throws the errors of generation::generate.
std::optional<ReviewControl> measure_control(const ReviewControlSettings& settings,
                                             std::span<const HeldOutReview> held_out);

}  // namespace ovid::evaluation
