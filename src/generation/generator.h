#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "src/generation/sampler.h"
#include "src/memory/compute_target.h"
#include "src/model/parameters.h"

namespace ovid::generation {

// What generates. Config and weights belong to the caller; the weights have the target's number
// type and lie on its device.
struct GenerationModel {
  const model::ModelConfig& config;
  const model::ModelParameters<model::View>& weights;
  memory::ComputeTarget target;
};

inline constexpr std::int64_t kEndless = std::numeric_limits<std::int64_t>::max();

struct GenerationSettings {
  SamplingSettings sampling;
  std::int64_t max_new_tokens = 64;
  std::int64_t samples = 1;  // of each prompt; kEndless: until should_stop says so
  // The samples of a prompt are numbered from here; the number keys the random stream.
  std::int64_t first_sample = 0;
  std::optional<std::int32_t> end_of_text;  // ends a sample when drawn
  // Samples decoded together: more share each read of the weights, and take more memory for keys
  // and values. 0: kUsualBatch, or fewer where memory is short.
  std::int64_t batch = 0;
};

inline constexpr std::int64_t kUsualBatch = 8;

// max_new_tokens reached; or end of text drawn, or a callback asked for it.
enum class FinishReason { kLength, kStop };
const char* name_of(FinishReason reason);  // "length", "stop"

struct Sample {
  std::int64_t number = 0;
  std::vector<std::int32_t> tokens;  // the new ones, with the end of text where it was drawn
  FinishReason finish_reason = FinishReason::kLength;
  std::int64_t prompt = 0;  // its index
};

enum class AfterToken { kContinue, kStop };

// All are called on the thread that called generate. Each may be absent.
struct GenerationCallbacks {
  // Told each sample that has a new token, the last of its tokens; kStop ends the sample with it.
  std::function<AfterToken(const Sample& sample)> on_token = nullptr;
  // Told each finished sample, prompt after prompt and in each by number.
  std::function<void(const Sample& sample)> on_sample = nullptr;
  // Asked before each token of the batch; true ends all: samples in work are not told.
  std::function<bool()> should_stop = nullptr;
};

// Continues each of `prompts` (at least one token each) settings.samples times. Each sample is a
// pure function of model, prompt, settings and its number: neither the other prompts and samples
// nor batch and threads change it. A place in the batch that falls free takes the next sample at
// once. Where a sequence outgrows the context, the window moves: the last half of the context is
// encoded again from position 0. Throws UsageError for an empty prompt, a token outside the
// vocabulary, or settings outside their ranges, and ResourceError, naming the batch that fits,
// where keys and values do not.
void generate(const GenerationModel& model, std::span<const std::vector<std::int32_t>> prompts,
              const GenerationSettings& settings, const GenerationCallbacks& callbacks);

// The same for one prompt: the samples by number.
std::vector<Sample> generate(const model::ModelConfig& config,
                             const model::ModelParameters<model::View>& weights,
                             std::span<const std::int32_t> prompt,
                             const GenerationSettings& settings,
                             const memory::ComputeTarget& target);

}  // namespace ovid::generation
