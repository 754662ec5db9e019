#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ovid::generation {

// Applied in this order; the defaults leave the model's distribution as it is.
struct SamplingSettings {
  double temperature = 1.0;  // 0: the most probable token always
  std::int64_t top_k = 0;    // only the k most probable tokens; 0: all
  double top_p = 1.0;        // only the most probable tokens that together reach this probability
                             // (Holtzman et al. 2020)
  double min_p = 0.0;  // only tokens at least this many times as probable as the most probable
                       // one (Nguyen et al. 2024)
  // Before everything else, the logits of tokens that were there before are divided by it, or
  // multiplied where they are negative, so that above 1 they always become less probable (Keskar et
  // al. 2019, CTRL, section 4.1, with the sign heeded).
  double repetition_penalty = 1.0;
  std::uint64_t seed = 0;
};

// Draws one token from `logits` (V). The random number is a pure function of (seed, sequence,
// position), so a sample is the same in any batch and on any number of threads. Equal logits rank
// by their id. `seen` are the distinct tokens, in [0, V), that the repetition penalty falls on.
// Throws DivergedError where a logit is not a number, or all are -infinity.
class Sampler {
 public:
  explicit Sampler(SamplingSettings settings) : settings_(settings) {}
  std::int32_t draw(std::span<const float> logits, std::int64_t sequence, std::int64_t position,
                    std::span<const std::int32_t> seen = {});

 private:
  struct Candidate {
    float logit;
    std::int32_t token;
  };

  std::span<const float> penalised(std::span<const float> logits,
                                   std::span<const std::int32_t> seen);
  std::int32_t most_probable(std::span<const float> logits) const;
  double weight(float logit, float highest) const;
  double random(std::int64_t sequence, std::int64_t position) const;
  std::int32_t draw_from_all(std::span<const float> logits, float highest, double random);
  std::int32_t draw_from_best(std::span<const float> logits, float highest, double random);
  void sort_until(std::size_t count);
  std::size_t pick(double total, double random) const;

  SamplingSettings settings_;
  std::vector<float> penalised_;
  std::vector<Candidate> candidates_;
  std::size_t sorted_ = 0;  // of candidates_, the most probable ones, in order
  std::vector<double> weights_;
};

}  // namespace ovid::generation
