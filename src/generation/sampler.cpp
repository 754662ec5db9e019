#include "src/generation/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/common/random.h"
#include "src/core/error.h"

namespace ovid::generation {

std::span<const float> Sampler::penalised(std::span<const float> logits,
                                          std::span<const std::int32_t> seen) {
  if (settings_.repetition_penalty == 1.0 || seen.empty()) return logits;
  const auto penalty = static_cast<float>(settings_.repetition_penalty);
  penalised_.assign(logits.begin(), logits.end());
  for (const std::int32_t token : seen) {
    float& logit = penalised_[static_cast<std::size_t>(token)];
    logit = logit > 0 ? logit / penalty : logit * penalty;
  }
  return penalised_;
}

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

// Relative to the most probable token's, which is 1.
double Sampler::weight(float logit, float highest) const {
  return std::exp((static_cast<double>(logit) - highest) / settings_.temperature);
}

double Sampler::random(std::int64_t sequence, std::int64_t position) const {
  const kernels::RandomStream stream{.seed = settings_.seed,
                                     .use = kernels::RandomUse::kSampling,
                                     .major = static_cast<std::uint64_t>(sequence)};
  const kernels::Philox4x32 words =
      kernels::random_words(stream, static_cast<std::uint64_t>(position));
  return kernels::uniform_double(words[0], words[1]);
}

std::int32_t Sampler::draw(std::span<const float> logits, std::int64_t sequence,
                           std::int64_t position, std::span<const std::int32_t> seen) {
  const std::span<const float> scores = penalised(logits, seen);
  const std::int32_t best = most_probable(scores);
  if (settings_.temperature <= 0.0 || settings_.top_k == 1) return best;
  const float highest = scores[static_cast<std::size_t>(best)];
  if (std::isinf(highest)) return best;
  const double number = random(sequence, position);
  const bool all = settings_.top_k == 0 && settings_.top_p >= 1.0 && settings_.min_p <= 0.0;
  return all ? draw_from_all(scores, highest, number) : draw_from_best(scores, highest, number);
}

std::int32_t Sampler::draw_from_all(std::span<const float> logits, float highest, double random) {
  weights_.clear();
  double total = 0;
  for (const float logit : logits) {
    weights_.push_back(weight(logit, highest));
    total += weights_.back();
  }
  return static_cast<std::int32_t>(pick(total, random));
}

std::int32_t Sampler::draw_from_best(std::span<const float> logits, float highest, double random) {
  candidates_.clear();
  for (std::size_t i = 0; i < logits.size(); ++i)
    candidates_.push_back({logits[i], static_cast<std::int32_t>(i)});
  sorted_ = 0;
  if (settings_.top_k > 0 && settings_.top_k < static_cast<std::int64_t>(candidates_.size())) {
    const auto k = static_cast<std::size_t>(settings_.top_k);
    sort_until(k);
    candidates_.resize(k);
  }
  double enough = std::numeric_limits<double>::infinity();
  if (settings_.top_p < 1.0) {
    double total = 0;  // in the order of the ids, or of the k best: the same on every machine
    for (const Candidate& c : candidates_) total += weight(c.logit, highest);
    enough = settings_.top_p * total;
  }
  // Few tokens are kept as a rule: those behind them are never sorted.
  weights_.clear();
  double kept = 0;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    if (i == sorted_) sort_until(std::min(candidates_.size(), std::max<std::size_t>(64, 4 * i)));
    const double w = weight(candidates_[i].logit, highest);
    if (i > 0 && (kept >= enough || w < settings_.min_p)) break;
    weights_.push_back(w);
    kept += w;
  }
  return candidates_[pick(kept, random)].token;
}

// The `count` most probable candidates come first, in order. Those before sorted_ are already so.
void Sampler::sort_until(std::size_t count) {
  const auto precedes = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  };
  const auto from = candidates_.begin() + static_cast<std::ptrdiff_t>(sorted_);
  const auto to = candidates_.begin() + static_cast<std::ptrdiff_t>(count);
  if (to != candidates_.end()) std::nth_element(from, to, candidates_.end(), precedes);
  std::sort(from, to, precedes);
  sorted_ = count;
}

// The place among weights_ that `random` in [0, 1) falls on.
std::size_t Sampler::pick(double total, double random) const {
  double left = random * total;
  std::size_t last = 0;
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    left -= weights_[i];
    if (left < 0) return i;
    if (weights_[i] > 0) last = i;
  }
  return last;  // rounding left a little over
}

}  // namespace ovid::generation
