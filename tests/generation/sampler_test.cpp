#include "src/generation/sampler.h"

#include <cmath>
#include <limits>
#include <vector>

#include "src/core/error.h"
#include "tests/catch.h"

namespace ovid::generation {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<int> counts(const SamplingSettings& settings, const std::vector<float>& logits,
                        int draws) {
  Sampler sampler(settings);
  std::vector<int> count(logits.size());
  for (int i = 0; i < draws; ++i) ++count[static_cast<std::size_t>(sampler.draw(logits, 0, i))];
  return count;
}

}  // namespace

TEST_CASE("temperature 0 takes the most probable token, the first of equals", "[generation]") {
  Sampler sampler({.temperature = 0});
  CHECK(sampler.draw(std::vector<float>{1, 3, 3, 2}, 0, 0) == 1);
  CHECK(sampler.draw(std::vector<float>{-kInfinity, -5, -kInfinity}, 0, 0) == 1);
}

TEST_CASE("draws follow the softmax of logits over temperature", "[generation]") {
  const std::vector<float> logits{std::log(1.0f), std::log(2.0f), std::log(5.0f)};
  const int n = 40'000;
  // Four standard deviations of a binomial count.
  const auto close = [&](int count, double p) {
    return std::abs(count - n * p) < 4 * std::sqrt(n * p * (1 - p));
  };
  const auto plain = counts({.seed = 7}, logits, n);
  CHECK(close(plain[0], 1.0 / 8));
  CHECK(close(plain[1], 2.0 / 8));
  CHECK(close(plain[2], 5.0 / 8));
  const auto cold = counts({.temperature = 0.5, .seed = 7}, logits, n);
  CHECK(close(cold[0], 1.0 / 30));
  CHECK(close(cold[2], 25.0 / 30));
}

TEST_CASE("top-k and top-p keep the most probable tokens only", "[generation]") {
  const std::vector<float> logits{std::log(1.0f), std::log(2.0f), std::log(5.0f), std::log(2.0f)};
  const auto k2 = counts({.top_k = 2, .seed = 1}, logits, 2000);
  CHECK(k2[0] == 0);
  CHECK(k2[1] > 0);  // of equal logits the smaller id stays
  CHECK(k2[3] == 0);
  const auto p = counts({.top_p = 0.5, .seed = 1}, logits, 2000);
  CHECK(p[2] == 2000);  // 5/10 reaches 0.5 alone
  const auto p6 = counts({.top_p = 0.6, .seed = 1}, logits, 2000);
  CHECK(p6[2] + p6[1] == 2000);
  CHECK(p6[1] > 0);
}

TEST_CASE("a draw depends on seed, sequence and position alone", "[generation]") {
  const std::vector<float> logits(1000, 0.0f);
  Sampler a({.seed = 3}), b({.seed = 3}), other({.seed = 4});
  for (int i = 0; i < 50; ++i) a.draw(logits, 9, i);  // what was drawn before does not matter
  CHECK(a.draw(logits, 1, 2) == b.draw(logits, 1, 2));
  int equal = 0;
  for (int i = 0; i < 100; ++i) equal += a.draw(logits, 1, i) == other.draw(logits, 1, i) ? 1 : 0;
  CHECK(equal < 10);
  equal = 0;
  for (int i = 0; i < 100; ++i) equal += a.draw(logits, 1, i) == a.draw(logits, 2, i) ? 1 : 0;
  CHECK(equal < 10);
}

TEST_CASE("logits that are no numbers end the sample with a clear error", "[generation]") {
  Sampler sampler({});
  CHECK_THROWS_AS(sampler.draw(std::vector<float>{0, NAN}, 0, 0), DivergedError);
  CHECK_THROWS_AS(sampler.draw(std::vector<float>{-kInfinity, -kInfinity}, 0, 0), DivergedError);
}

}  // namespace ovid::generation
