#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ovid::generation {

struct SamplingSettings {
  double temperature = 1.0;  // 0: the most probable token always
  std::int64_t top_k = 0;    // only the k most probable tokens; 0: all
  double top_p = 1.0;        // only the most probable tokens that together reach this probability
                             // (Holtzman et al. 2020)
  std::uint64_t seed = 0;
};

// Draws one token from `logits` (V). The random number is a pure function of (seed, sequence,
// position), so a sample is the same in any batch and on any number of threads. Equal logits rank
// by their id. Throws DivergedError where a logit is not a number, or all are -infinity.
class Sampler {
 public:
  explicit Sampler(SamplingSettings settings) : settings_(settings) {}
  std::int32_t draw(std::span<const float> logits, std::int64_t sequence, std::int64_t position);

 private:
  std::int32_t most_probable(std::span<const float> logits) const;

  SamplingSettings settings_;
  struct Candidate {
    float logit;
    std::int32_t token;
  };
  std::vector<Candidate> candidates_;
  std::vector<double> weights_;
};

}  // namespace ovid::generation
