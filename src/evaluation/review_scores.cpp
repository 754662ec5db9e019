#include "src/evaluation/review_scores.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/core/error.h"
#include "src/evaluation/text_metrics.h"

namespace ovid::evaluation {
namespace {

using Tokens = std::vector<std::int32_t>;

// A review's counted tokens behind each of the prefixes.
struct LaidOutReview {
  std::vector<ScoredSequence> sequences;  // one for each condition that is asked for
  std::string counted;                    // the text of the counted tokens
  std::int64_t tokens = 0;
  bool cut = false;
};

Tokens context_of(const ReviewScoring& scoring, const HeldOutReview& review,
                  ReviewCondition condition) {
  if (condition == kNoPrefix) return scoring.layout.prompt(0, "");
  const int stars = condition == kItsOwn ? review.stars : farthest_stars(review.stars);
  return scoring.layout.prompt(stars, review.category);
}

std::vector<ReviewCondition> conditions_of(const ReviewScoring& scoring) {
  if (scoring.without_prefix) return {kNoPrefix};
  return {kItsOwn, kWrongStars, kNoPrefix};
}

LaidOutReview lay_out(const ReviewScoring& scoring, const HeldOutReview& review) {
  LaidOutReview laid;
  std::size_t longest = 0;
  for (const ReviewCondition condition : conditions_of(scoring)) {
    laid.sequences.push_back({context_of(scoring, review, condition), 0});
    ScoredSequence& sequence = laid.sequences.back();
    sequence.counted = sequence.tokens.size();
    longest = std::max(longest, sequence.counted);
  }
  Tokens text = scoring.tokenizer.encode(review_text(review));
  text.push_back(scoring.tokenizer.end_of_text());
  const auto most = static_cast<std::size_t>(scoring.model.config.context_length) + 1;
  if (longest >= most) {
    throw DataError(fmt::format(
        "the control words of a review of category {} take {} tokens, and the model's context of "
        "{} leaves no room behind them; use a model with a longer context",
        review.category, longest, scoring.model.config.context_length));
  }
  laid.cut = longest + text.size() > most;
  if (laid.cut) text.resize(most - longest);
  laid.tokens = static_cast<std::int64_t>(text.size());
  laid.counted = scoring.tokenizer.decode(
      std::span(text).first(text.size() - (laid.cut ? 0 : 1)));  // the end has no bytes
  for (ScoredSequence& sequence : laid.sequences)
    sequence.tokens.insert(sequence.tokens.end(), text.begin(), text.end());
  return laid;
}

struct ReviewFigures {
  std::array<double, kReviewConditions> nats{};
  std::int64_t tokens = 0, words = 0, bytes = 0;
};

void add(ReviewScores& scores, const ReviewFigures& figures, bool without_prefix) {
  scores.words += figures.words;
  scores.bytes += figures.bytes;
  scores.losses[kNoPrefix].add(figures.nats[kNoPrefix], figures.tokens);
  if (without_prefix) return;
  scores.losses[kItsOwn].add(figures.nats[kItsOwn], figures.tokens);
  scores.losses[kWrongStars].add(figures.nats[kWrongStars], figures.tokens);
  scores.gain.add(figures.nats[kWrongStars] - figures.nats[kItsOwn], figures.tokens);
}

}  // namespace

int farthest_stars(int stars) {
  return stars < 3 ? 5 : 1;
}

std::string review_text(const HeldOutReview& review) {
  // Without the line end that parts it from the control words.
  return prompts::ReviewLayout::text(review.headline, review.text).substr(1);
}

ReviewPerplexity score_reviews(const ReviewScoring& scoring,
                               std::span<const HeldOutReview> reviews) {
  const std::vector<ReviewCondition> conditions = conditions_of(scoring);
  std::vector<ScoredSequence> sequences;
  std::vector<ReviewFigures> figures;
  ReviewPerplexity perplexity;
  perplexity.context_length = scoring.model.config.context_length;
  perplexity.without_prefix = scoring.without_prefix;
  for (const HeldOutReview& review : reviews) {
    LaidOutReview laid = lay_out(scoring, review);
    perplexity.cut += laid.cut ? 1 : 0;
    figures.push_back({.nats = {},
                       .tokens = laid.tokens,
                       .words = static_cast<std::int64_t>(spaced_words(laid.counted).size()),
                       .bytes = static_cast<std::int64_t>(laid.counted.size())});
    for (ScoredSequence& sequence : laid.sequences) sequences.push_back(std::move(sequence));
  }
  const std::vector<double> nats = sequence_losses(scoring.model, sequences, scoring.on_progress);
  for (std::size_t i = 0; i < reviews.size(); ++i) {
    for (std::size_t c = 0; c < conditions.size(); ++c)
      figures[i].nats[conditions[c]] = nats[i * conditions.size() + c];
    add(perplexity.all, figures[i], scoring.without_prefix);
    add(perplexity.stars[static_cast<std::size_t>(reviews[i].stars - 1)], figures[i],
        scoring.without_prefix);
    add(perplexity.categories[reviews[i].category], figures[i], scoring.without_prefix);
  }
  return perplexity;
}

}  // namespace ovid::evaluation
