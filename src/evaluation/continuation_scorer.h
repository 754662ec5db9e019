#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/generation/decoder.h"
#include "src/generation/generator.h"

namespace ovid::evaluation {

// Log probabilities of texts that go on from one context, with its keys and values computed once
// and shared. What a context has in common with the one before is not computed again, so that the
// turns of a dialogue, asked in order, cost its length once.
class ContinuationScorer {
 public:
  // Holds up to `together` continuations at one time, of contexts that with a continuation take at
  // most the model's context. What `model` points to must outlive it. Throws ResourceError where
  // the memory for keys and values is not there.
  ContinuationScorer(const generation::GenerationModel& model, std::int64_t together);

  // log p(continuation | context), nats, summed in double, of each. Neither the other continuations
  // nor earlier calls change it. Throws DataError where `context` or a continuation is empty, where
  // both together are more than the model's context and one last token, or where a token is outside
  // the vocabulary; DivergedError where a result is not finite.
  std::vector<double> score(std::span<const std::int32_t> context,
                            std::span<const std::vector<std::int32_t>> continuations);

 private:
  void check(std::span<const std::int32_t> context,
             std::span<const std::vector<std::int32_t>> continuations) const;
  void read_context(std::span<const std::int32_t> context);
  void score_together(std::span<const std::vector<std::int32_t>> continuations,
                      std::span<double> sums);

  const generation::GenerationModel& model_;
  std::int64_t together_;
  generation::Decoder decoder_;        // its first sequence holds the context
  std::vector<std::int32_t> context_;  // in the cache
  std::vector<float> after_context_;   // logits (V)
};

// log softmax(logits)[token], summed in double. Pure.
double log_probability(std::span<const float> logits, std::int32_t token);

}  // namespace ovid::evaluation
