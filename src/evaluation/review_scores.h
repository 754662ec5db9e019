#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "src/evaluation/held_out_data.h"
#include "src/evaluation/interval.h"
#include "src/evaluation/sequence_losses.h"
#include "src/generation/generator.h"
#include "src/prompts/review_prompt.h"
#include "src/tokenizer/tokenizer.h"

namespace ovid::evaluation {

// What stands before a review when its probability is asked for.
enum ReviewCondition { kItsOwn, kWrongStars, kNoPrefix, kReviewConditions };

// The number of stars farthest from `stars`: 5 for 1 and 2, else 1.
int farthest_stars(int stars);

// Sums over some of the reviews. The same tokens are counted in each condition.
struct ReviewScores {
  std::array<RatioTally, kReviewConditions> losses;
  RatioTally gain;  // of each review: loss with wrong stars less loss with its own
  std::int64_t words = 0, bytes = 0;  // of the counted text
};

struct ReviewPerplexity {
  ReviewScores all;
  std::array<ReviewScores, 5> stars;  // of 1 to 5
  std::map<std::string, ReviewScores> categories;
  std::int64_t cut = 0;             // reviews of which only the beginning fits the context
  std::int64_t context_length = 0;  // of the model
  bool without_prefix = false;      // only kNoPrefix was asked for
};

struct ReviewScoring {
  const generation::GenerationModel& model;
  const tokenizer::Tokenizer& tokenizer;
  const prompts::ReviewLayout& layout;
  bool without_prefix = false;  // only kNoPrefix is asked for; the others stay empty
  SequenceProgress on_progress = nullptr;
};

// How well the model expects each review behind its control words (prompts::ReviewLayout). Counted
// are headline, line end, body and the end of the text; of what does not fit the model's context,
// only the beginning, equally long in all conditions. Throws DataError where not even one token
// fits behind the control words, and the errors of sequence_losses.
ReviewPerplexity score_reviews(const ReviewScoring& scoring,
                               std::span<const HeldOutReview> reviews);

// A review as one text.
std::string review_text(const HeldOutReview& review);  // "HEADLINE\nBODY"

}  // namespace ovid::evaluation
