#include "src/evaluation/continuation_scorer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "kernels/cpu/parallel_for.h"
#include "src/core/error.h"

namespace ovid::evaluation {
namespace {

// Logits that are held at once: 64 MiB of float32.
constexpr std::int64_t kMostLogits = std::int64_t{1} << 24;

// A position whose next token's probability is asked for.
struct Question {
  std::size_t row;
  std::int32_t next;
  std::size_t continuation;
};

}  // namespace

double log_probability(std::span<const float> logits, std::int32_t token) {
  const float highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - highest);
  return static_cast<double>(logits[static_cast<std::size_t>(token)]) - highest - std::log(sum);
}

ContinuationScorer::ContinuationScorer(const generation::GenerationModel& model,
                                       std::int64_t together)
    : model_(model),
      together_(std::max<std::int64_t>(together, 1)),
      decoder_(model.config, model.weights, {together_ + 1, 0}, model.target) {}

void ContinuationScorer::check(std::span<const std::int32_t> context,
                               std::span<const std::vector<std::int32_t>> continuations) const {
  const auto most = static_cast<std::size_t>(decoder_.positions()) + 1;
  const auto check_tokens = [&](std::span<const std::int32_t> tokens) {
    if (tokens.empty()) throw DataError("an empty text has no probability: leave it out");
    for (const std::int32_t token : tokens) {
      if (token >= 0 && token < model_.config.vocabulary_size) continue;
      throw DataError(fmt::format("token {} is outside the model's vocabulary of {}", token,
                                  model_.config.vocabulary_size));
    }
  };
  check_tokens(context);
  for (const std::vector<std::int32_t>& continuation : continuations) {
    check_tokens(continuation);
    if (context.size() + continuation.size() <= most) continue;
    throw DataError(
        fmt::format("a context of {} tokens and {} after it are more than the {} that the model "
                    "can score at once; cut the context",
                    context.size(), continuation.size(), most));
  }
}

void ContinuationScorer::read_context(std::span<const std::int32_t> context) {
  const auto common = static_cast<std::size_t>(
      std::mismatch(context.begin(), context.end(), context_.begin(), context_.end()).first -
      context.begin());
  if (common == context.size() && common == context_.size()) return;
  // The last token is always computed: its logits are asked for.
  const std::size_t first = std::min(common, context.size() - 1);
  std::vector<generation::DecoderRow> rows;
  for (std::size_t i = first; i < context.size(); ++i)
    rows.push_back({.sequence = 0, .position = static_cast<std::int32_t>(i), .token = context[i]});
  const auto wanted = std::make_unique<bool[]>(rows.size());
  wanted[rows.size() - 1] = true;
  context_.clear();  // what the cache holds is not known while it is written
  decoder_.decode(rows, {wanted.get(), rows.size()});
  const std::span<const float> logits = decoder_.logits(rows.size() - 1);
  after_context_.assign(logits.begin(), logits.end());
  context_.assign(context.begin(), context.end());
}

void ContinuationScorer::score_together(std::span<const std::vector<std::int32_t>> continuations,
                                        std::span<double> sums) {
  std::vector<generation::DecoderRow> rows;
  std::vector<Question> questions;
  const auto size = static_cast<std::int64_t>(context_.size());
  for (std::size_t c = 0; c < continuations.size(); ++c) {
    const std::vector<std::int32_t>& tokens = continuations[c];
    sums[c] = log_probability(after_context_, tokens.front());
    const auto sequence = static_cast<std::int64_t>(c) + 1;
    if (tokens.size() > 1) decoder_.copy_cache(0, sequence, size);
    for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
      questions.push_back({rows.size(), tokens[i + 1], c});
      rows.push_back({.sequence = static_cast<std::int32_t>(sequence),
                      .position = static_cast<std::int32_t>(size + static_cast<std::int64_t>(i)),
                      .token = tokens[i]});
    }
  }
  const auto wanted = std::make_unique<bool[]>(rows.size());
  std::fill_n(wanted.get(), rows.size(), true);
  decoder_.decode(rows, {wanted.get(), rows.size()});
  std::vector<double> answers(questions.size());
  kernels::cpu::parallel_for(
      model_.target.threads, static_cast<std::int64_t>(questions.size()), 4,
      [&](std::int64_t begin, std::int64_t end) {
        for (auto q = static_cast<std::size_t>(begin); q < static_cast<std::size_t>(end); ++q)
          answers[q] = log_probability(decoder_.logits(questions[q].row), questions[q].next);
      });
  for (std::size_t q = 0; q < questions.size(); ++q) sums[questions[q].continuation] += answers[q];
}

std::vector<double> ContinuationScorer::score(
    std::span<const std::int32_t> context,
    std::span<const std::vector<std::int32_t>> continuations) {
  check(context, continuations);
  read_context(context);
  std::vector<double> sums(continuations.size());
  const std::int64_t most_rows =
      std::max<std::int64_t>(kMostLogits / model_.config.vocabulary_size, 1);
  for (std::size_t first = 0; first < continuations.size();) {
    std::size_t end = first;
    std::int64_t rows = 0;
    while (end < continuations.size() && end - first < static_cast<std::size_t>(together_)) {
      rows += static_cast<std::int64_t>(continuations[end].size());
      if (end > first && rows > most_rows) break;
      ++end;
    }
    score_together(continuations.subspan(first, end - first),
                   std::span(sums).subspan(first, end - first));
    first = end;
  }
  for (const double sum : sums) {
    if (!std::isfinite(sum))
      throw DivergedError("a probability is not finite: the model's weights are damaged");
  }
  return sums;
}

}  // namespace ovid::evaluation
