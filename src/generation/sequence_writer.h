#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "src/generation/decoder.h"
#include "src/generation/generator.h"

namespace ovid::generation {

struct SequenceRequest {
  std::vector<std::int32_t> prompt;  // at least one token
  SamplingSettings sampling;
  std::int64_t number = 0;               // of the sample: keys the random stream with the seed
  std::int64_t max_new_tokens = 64;      // with the prompt at most the model's context
  std::vector<std::int32_t> end_tokens;  // any of them ends the sequence when drawn
  std::int64_t vocabulary = 0;           // tokens that may be drawn, from 0 on; 0: all
};

struct WrittenSequence {
  std::vector<std::int32_t> tokens;  // the new ones, with the end token where one was drawn
  FinishReason finish_reason = FinishReason::kLength;
  std::int64_t reused = 0;  // tokens of the prompt whose keys and values were there
};

// Continues one sequence at a time and keeps its keys and values: what the next prompt has in
// common with it, from the front on, is not computed again. The result is the one of
// generate() for the same prompt, settings and number, whatever was written before.
class SequenceWriter {
 public:
  // Takes the memory of one whole context. Keeps references to config and weights. Throws
  // ResourceError.
  explicit SequenceWriter(const GenerationModel& model);

  // Tells `on_token` each new token; kStop ends the sequence with it. Throws UsageError for an
  // empty prompt, tokens outside the vocabulary and what does not fit the context, DivergedError
  // as Sampler::draw.
  WrittenSequence write(const SequenceRequest& request,
                        const std::function<AfterToken(std::int32_t)>& on_token);

  std::int64_t context_length() const { return decoder_.positions(); }

 private:
  void check(const SequenceRequest& request) const;
  // The logits after the last of `tokens`, which follow the cached ones.
  std::span<const float> decode(std::span<const std::int32_t> tokens);

  Decoder decoder_;
  std::vector<std::int32_t> cached_;  // the tokens whose keys and values are there, by position
};

}  // namespace ovid::generation
