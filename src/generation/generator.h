#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/common/execution_context.h"
#include "src/generation/sampler.h"
#include "src/model/parameters.h"

namespace ovid::generation {

struct GenerationSettings {
  SamplingSettings sampling;
  std::int64_t max_new_tokens = 64;
  std::int64_t samples = 1;
  std::int64_t first_sample =
      0;  // samples are numbered from here; the number keys the random stream
  std::optional<std::int32_t> end_of_text;  // ends a sample when drawn
};

enum class FinishReason { kLength, kStop };  // max_new_tokens reached; end of text drawn
const char* name_of(FinishReason reason);    // "length", "stop"

struct Sample {
  std::int64_t number = 0;
  std::vector<std::int32_t> tokens;  // the new ones, with the end of text where it was drawn
  FinishReason finish_reason = FinishReason::kLength;
};

using TokenCallback = std::function<void(std::int64_t sample, std::int32_t token)>;

// Continues `prompt` (at least one token). Each sample is a pure function of model, prompt,
// settings and its number: neither the other samples nor the threads change it. Where a sequence
// outgrows the context, the window moves: the last half of the context is encoded again from
// position 0. `on_token` is told each token as it is drawn. Throws UsageError for an empty prompt
// or a token outside the vocabulary.
std::vector<Sample> generate(const model::ModelConfig& config,
                             const model::ModelParameters<model::View>& weights,
                             std::span<const std::int32_t> prompt,
                             const GenerationSettings& settings, kernels::DeviceKind device,
                             int threads, const TokenCallback& on_token = nullptr);

}  // namespace ovid::generation
