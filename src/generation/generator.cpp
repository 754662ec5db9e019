#include "src/generation/generator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "kernels/cuda/device.h"
#include "src/core/error.h"
#include "src/generation/decoder.h"
#include "src/generation/generation_batch.h"
#include "src/memory/arena.h"
#include "src/memory/machine_memory.h"

namespace ovid::generation {
namespace {

void check_prompts(std::span<const std::vector<std::int32_t>> prompts,
                   std::int64_t vocabulary_size) {
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    if (prompts[i].empty()) {
      throw UsageError(fmt::format("prompt {} of {} has no token: give a text or token ids", i + 1,
                                   prompts.size()));
    }
    for (const std::int32_t token : prompts[i]) {
      if (token >= 0 && token < vocabulary_size) continue;
      throw UsageError(fmt::format("token {} of the prompt is outside the model's vocabulary of {}",
                                   token, vocabulary_size));
    }
  }
}

void check_settings(const GenerationSettings& s) {
  const auto refuse = [](const char* name, double value, const char* range) {
    throw UsageError(fmt::format("{} = {} is outside {}", name, value, range));
  };
  const SamplingSettings& a = s.sampling;
  if (!(a.temperature >= 0.0)) refuse("temperature", a.temperature, "0 and above");
  if (a.top_k < 0) refuse("top_k", static_cast<double>(a.top_k), "0 (all tokens) and above");
  if (!(a.top_p > 0.0 && a.top_p <= 1.0)) refuse("top_p", a.top_p, "(0, 1]");
  if (!(a.min_p >= 0.0 && a.min_p <= 1.0)) refuse("min_p", a.min_p, "[0, 1]");
  if (!(a.repetition_penalty > 0.0 && std::isfinite(a.repetition_penalty)))
    refuse("repetition_penalty", a.repetition_penalty, "the positive numbers; 1 is off");
  if (s.samples < 1) refuse("samples", static_cast<double>(s.samples), "1 and above");
  if (s.batch < 0) refuse("batch", static_cast<double>(s.batch), "0 (automatic) and above");
  if (s.max_new_tokens < 1)
    refuse("max_new_tokens", static_cast<double>(s.max_new_tokens), "1 and above");
}

// Free memory where the model computes; 0 where it is not known.
std::size_t available_bytes(const GenerationModel& model) {
  const kernels::cuda::Device* device = model.target.device;
  return device != nullptr ? device->free_memory() : memory::available_memory();
}

// The largest batch up to `batch` whose memory is there.
std::int64_t batch_that_fits(const GenerationModel& model, DecoderCapacity capacity) {
  const std::size_t available = available_bytes(model);
  if (available == 0) return capacity.sequences;
  const auto bytes = [&](std::int64_t sequences) {
    return Decoder::required_bytes(model.config, {sequences, capacity.positions}, model.target);
  };
  if (bytes(capacity.sequences) <= available) return capacity.sequences;
  const std::size_t one = bytes(1);
  if (one > available) return 0;
  return static_cast<std::int64_t>((available - one) / (bytes(2) - one)) + 1;
}

DecoderCapacity choose_capacity(const GenerationModel& model,
                                std::span<const std::vector<std::int32_t>> prompts,
                                const GenerationSettings& settings) {
  std::size_t longest = 0;
  for (const auto& prompt : prompts) longest = std::max(longest, prompt.size());
  const std::int64_t context = model.config.context_length;
  const std::int64_t positions = std::min(static_cast<std::int64_t>(longest), context) +
                                 std::min(settings.max_new_tokens, context);
  const auto count = static_cast<std::int64_t>(prompts.size());
  const std::int64_t in_all = count > std::numeric_limits<std::int64_t>::max() / settings.samples
                                  ? std::numeric_limits<std::int64_t>::max()
                                  : count * settings.samples;
  // Places are numbered in int32 by the decoder; no machine holds as many.
  constexpr std::int64_t kMostPlaces = 1 << 20;
  const std::int64_t wish = settings.batch > 0 ? settings.batch : kUsualBatch;
  DecoderCapacity capacity(std::min({wish, in_all, kMostPlaces}), std::min(positions, context));
  const std::int64_t fits = batch_that_fits(model, capacity);
  if (fits >= capacity.sequences) return capacity;
  if (fits == 0 || settings.batch > 0) {
    const std::size_t needed = Decoder::required_bytes(model.config, capacity, model.target);
    throw ResourceError(
        fmt::format("keys and values of {} samples of {} tokens need {}, but only {} are free; {}",
                    capacity.sequences, capacity.positions, memory::readable_bytes(needed),
                    memory::readable_bytes(available_bytes(model)),
                    fits == 0 ? "not even one fits: use a smaller model or fewer tokens"
                              : fmt::format("a batch of {} fits", fits)));
  }
  capacity.sequences = fits;
  return capacity;
}

}  // namespace

const char* name_of(FinishReason reason) {
  return reason == FinishReason::kStop ? "stop" : "length";
}

void generate(const GenerationModel& model, std::span<const std::vector<std::int32_t>> prompts,
              const GenerationSettings& settings, const GenerationCallbacks& callbacks) {
  check_settings(settings);
  check_prompts(prompts, model.config.vocabulary_size);
  if (prompts.empty()) return;
  GenerationBatch batch(model, prompts, settings, choose_capacity(model, prompts, settings));
  const auto count = static_cast<std::int64_t>(prompts.size());
  std::int64_t prompt = 0, sample = 0;  // the next to begin
  // Samples that ended before one that began earlier wait until it is told.
  std::map<std::pair<std::int64_t, std::int64_t>, Sample> waiting;
  std::pair<std::int64_t, std::int64_t> next{0, settings.first_sample};
  while (prompt < count || !batch.is_empty()) {
    while (prompt < count && batch.has_free_place()) {
      batch.begin(prompt, settings.first_sample + sample);
      if (++sample == settings.samples) {
        sample = 0;
        ++prompt;
      }
    }
    if (callbacks.should_stop && callbacks.should_stop()) return;
    for (Sample& s : batch.step(callbacks))
      waiting.emplace(std::pair(s.prompt, s.number), std::move(s));
    while (!waiting.empty() && waiting.begin()->first == next) {
      if (callbacks.on_sample) callbacks.on_sample(waiting.begin()->second);
      waiting.erase(waiting.begin());
      if (++next.second == settings.first_sample + settings.samples)
        next = {next.first + 1, settings.first_sample};
    }
  }
}

std::vector<Sample> generate(const model::ModelConfig& config,
                             const model::ModelParameters<model::View>& weights,
                             std::span<const std::int32_t> prompt,
                             const GenerationSettings& settings,
                             const memory::ComputeTarget& target) {
  const std::vector<std::int32_t> tokens(prompt.begin(), prompt.end());
  std::vector<Sample> samples;
  generate({.config = config, .weights = weights, .target = target}, std::span(&tokens, 1),
           settings, {.on_sample = [&](const Sample& sample) { samples.push_back(sample); }});
  return samples;
}

}  // namespace ovid::generation
