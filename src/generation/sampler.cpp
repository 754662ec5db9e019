#include "src/generation/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/common/random.h"
#include "src/core/error.h"

namespace ovid::generation {

std::int32_t Sampler::most_probable(std::span<const float> logits) const {
  std::size_t best = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]))
      throw DivergedError("the model's logits are not numbers: its weights are damaged");
    if (logits[i] > logits[best]) best = i;
  }
  if (logits[best] == -std::numeric_limits<float>::infinity()) {
    throw DivergedError("all of the model's logits are -infinity: its weights are damaged");
  }
  return static_cast<std::int32_t>(best);
}

std::int32_t Sampler::draw(std::span<const float> logits, std::int64_t sequence,
                           std::int64_t position) {
  const std::int32_t best = most_probable(logits);
  if (settings_.temperature <= 0.0 || settings_.top_k == 1) return best;
  const float highest = logits[static_cast<std::size_t>(best)];
  if (std::isinf(highest)) return best;

  candidates_.clear();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    candidates_.push_back({logits[i], static_cast<std::int32_t>(i)});
  }
  const auto precedes = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  };
  if (settings_.top_k > 0 && settings_.top_k < static_cast<std::int64_t>(candidates_.size())) {
    const auto k = static_cast<std::ptrdiff_t>(settings_.top_k);
    std::nth_element(candidates_.begin(), candidates_.begin() + k, candidates_.end(), precedes);
    candidates_.resize(static_cast<std::size_t>(k));
  }
  std::sort(candidates_.begin(), candidates_.end(), precedes);

  weights_.clear();
  double total = 0;
  for (const Candidate& c : candidates_) {
    weights_.push_back(std::exp((static_cast<double>(c.logit) - highest) / settings_.temperature));
    total += weights_.back();
  }
  if (settings_.top_p < 1.0) {
    double kept = 0;
    std::size_t count = 0;
    while (count < weights_.size() && (count == 0 || kept < settings_.top_p * total))
      kept += weights_[count++];
    weights_.resize(count);
    total = kept;
  }
  const kernels::RandomStream stream{.seed = settings_.seed,
                                     .use = kernels::RandomUse::kSampling,
                                     .major = static_cast<std::uint64_t>(sequence)};
  const kernels::Philox4x32 words =
      kernels::random_words(stream, static_cast<std::uint64_t>(position));
  double left = kernels::uniform_double(words[0], words[1]) * total;
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    left -= weights_[i];
    if (left < 0) return candidates_[i].token;
  }
  return candidates_[weights_.size() - 1].token;  // rounding left a little over
}

}  // namespace ovid::generation
