#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "src/evaluation/held_out_data.h"
#include "src/evaluation/interval.h"
#include "src/evaluation/text_metrics.h"
#include "src/generation/generator.h"
#include "src/prompts/dialogue_prompt.h"
#include "src/tokenizer/tokenizer.h"

namespace ovid::evaluation {

struct ReplyWriting {
  const generation::GenerationModel& model;
  const tokenizer::Tokenizer& tokenizer;
  const prompts::DialogueLayout& layout;
  generation::SamplingSettings sampling;  // temperature 0: greedy
  std::int64_t max_new_tokens = 0;
  std::function<void(std::int64_t done, std::int64_t all)> on_progress = nullptr;
};

// What the model answers in each turn: the text up to the line end, the end of the text or
// max_new_tokens, without white space at either end. Contexts are trimmed so that a whole reply
// fits. Throws UsageError where max_new_tokens leaves no room for a context, and the errors of
// generation::generate.
std::vector<std::string> write_replies(const ReplyWriting& writing,
                                       std::span<const DialogueTurn> turns);

// Figures of a set of replies that take no model.
struct ReplyVariety {
  NgramCounts unigrams, bigrams;  // of distinct-1 and distinct-2
  double repeated_4grams = 0;     // within a reply
  double repeated_replies = 0;    // the share that equals an earlier one
  double words = 0;               // of a reply, mean
};
ReplyVariety measure_variety(std::span<const std::string> replies);

// Word F1 of replies[i] with the human reply of turns[i], grouped by dialogue.
RatioTally measure_f1(std::span<const std::string> replies, std::span<const DialogueTurn> turns);

// A human reply to another context for each turn, to tell what F1 chance alone gives: the first
// candidate that is not the reply's own text; empty where all are.
std::vector<std::string> other_replies(std::span<const DialogueTurn> turns);

}  // namespace ovid::evaluation
