#include "src/generation/sampler.h"

#include <algorithm>
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

TEST_CASE("min-p keeps tokens by their ratio to the most probable one", "[generation]") {
  const std::vector<float> logits{std::log(1.0f), std::log(2.1f), std::log(5.0f), std::log(2.0f)};
  const auto some = counts({.min_p = 0.41, .seed = 1}, logits, 2000);
  CHECK(some[1] + some[2] == 2000);  // 2.1 / 5 = 0.42, 2 / 5 = 0.4
  CHECK(some[1] > 0);
  CHECK(counts({.min_p = 1.0, .seed = 1}, logits, 200)[2] == 200);
  // The ratios are those after the temperature: 0.42^2 = 0.18.
  CHECK(counts({.temperature = 0.5, .min_p = 0.2, .seed = 1}, logits, 200)[2] == 200);
}

TEST_CASE("filters keep what a full sort would keep, in vocabularies of many tokens",
          "[generation]") {
  constexpr std::size_t kTokens = 400;
  std::vector<float> logits(kTokens);
  for (std::size_t i = 0; i < kTokens; ++i)
    logits[i] = static_cast<float>((i * 7919 % kTokens) / 2) * 0.01f;  // each twice
  std::vector<std::size_t> order(kTokens);
  for (std::size_t i = 0; i < kTokens; ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
  double total = 0;
  for (const float logit : logits) total += std::exp(static_cast<double>(logit));
  const auto kept = [&](double share, std::size_t most) {
    double sum = 0;
    std::size_t n = 0;
    while (n < most && sum < share * total)
      sum += std::exp(static_cast<double>(logits[order[n++]]));
    return n;
  };
  const auto check = [&](const SamplingSettings& settings, std::size_t n) {
    const auto count = counts(settings, logits, 4000);
    for (std::size_t i = 0; i < kTokens; ++i) {
      if (i >= n && count[order[i]] != 0)
        FAIL("token of rank " << i << " was drawn, not below " << n);
    }
    CHECK(count[order[n - 1]] > 0);
  };
  check({.top_k = 90, .seed = 4}, 90);
  check({.top_p = 0.7, .seed = 4}, kept(0.7, kTokens));
  check({.min_p = 0.3, .seed = 4},
        static_cast<std::size_t>(std::count_if(logits.begin(), logits.end(), [&](float logit) {
          return std::exp(static_cast<double>(logit) - logits[order[0]]) >= 0.3;
        })));
}

TEST_CASE("the repetition penalty makes seen tokens less probable, whatever their sign",
          "[generation]") {
  Sampler greedy({.temperature = 0, .repetition_penalty = 2.0});
  const std::vector<std::int32_t> both{0, 2};
  CHECK(greedy.draw(std::vector<float>{3, 2, -1}, 0, 0, both) == 1);    // 1.5, 2, -2
  CHECK(greedy.draw(std::vector<float>{5, 2, -1}, 0, 0, both) == 0);    // 2.5, 2, -2
  CHECK(greedy.draw(std::vector<float>{-3, -5, -9}, 0, 0, both) == 1);  // -6, -5, -18
  CHECK(greedy.draw(std::vector<float>{-3, -5, -9}, 0, 0) == 0);        // nothing was seen
  Sampler off({.temperature = 0, .repetition_penalty = 1.0});
  CHECK(off.draw(std::vector<float>{3, 2, -1}, 0, 0, both) == 0);
  // exp(0) : exp(log 4 / 2) = 1 : 2.
  const std::vector<float> logits{0, std::log(4.0f)};
  Sampler sampler({.repetition_penalty = 2.0, .seed = 7});
  const std::vector<std::int32_t> one{1};
  int drawn = 0;
  constexpr int n = 40'000;
  for (int i = 0; i < n; ++i) drawn += sampler.draw(logits, 0, i, one);
  CHECK(std::abs(drawn - n * 2.0 / 3) < 4 * std::sqrt(n * 2.0 / 9));
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
