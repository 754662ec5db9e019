#include "src/data/mixture_schedule.h"

#include <rapidcheck.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#include "src/core/error.h"
#include "tests/catch.h"

namespace ovid::data {
namespace {

using Catch::Matchers::Contains;

std::vector<double> any_weights() {
  const auto count = *rc::gen::inRange<std::size_t>(1, 12);
  std::vector<double> weights;
  const bool whole = *rc::gen::arbitrary<bool>();
  for (std::size_t k = 0; k < count; ++k) {
    const double number = *rc::gen::inRange(1, 1000);
    weights.push_back(whole ? number : std::sqrt(number));
  }
  return weights;
}

}  // namespace

TEST_CASE("a schedule gives every source its turns, one after the other, close to its share",
          "[data]") {
  ::setenv("RC_PARAMS", "seed=20190214", 0);  // read once, at the first check
  CHECK(rc::check([] {
    const std::vector<double> weights = any_weights();
    const MixtureSchedule schedule(weights);
    double sum = 0;
    for (const double weight : weights) sum += weight;
    const double bound = std::ceil(std::log2(static_cast<double>(weights.size()))) / 2 + 1e-4;
    std::vector<std::int64_t> given(weights.size(), 0);
    for (std::int64_t n = 0; n < 3000; ++n) {
      for (std::size_t k = 0; k < weights.size(); ++k) {
        RC_ASSERT(schedule.count(k, n) == given[k]);
        const double exact = static_cast<double>(n) * weights[k] / sum;
        RC_ASSERT(std::abs(static_cast<double>(given[k]) - exact) <= bound);
      }
      const MixtureSchedule::Turn turn = schedule.at(n);
      RC_ASSERT(turn.consumed == given[turn.source]);
      ++given[turn.source];
    }
  }));
}

TEST_CASE("a schedule is as exact far into a run as at its beginning", "[data]") {
  ::setenv("RC_PARAMS", "seed=20190214", 0);  // read once, at the first check
  CHECK(rc::check([] {
    std::vector<double> weights;
    for (std::size_t k = *rc::gen::inRange<std::size_t>(1, 20); k > 0; --k)
      weights.push_back(*rc::gen::inRange(1, 1'000'000));
    const MixtureSchedule schedule(weights);
    std::int64_t period = 0;
    for (const std::int64_t part : schedule.parts()) period += part;
    const std::int64_t periods = *rc::gen::inRange<std::int64_t>(0, (1ll << 60) / period);
    for (std::size_t k = 0; k < weights.size(); ++k)
      RC_ASSERT(schedule.count(k, periods * period) == periods * schedule.parts()[k]);

    const std::int64_t n = *rc::gen::inRange<std::int64_t>(0, 1ll << 60);
    const MixtureSchedule::Turn turn = schedule.at(n);
    std::int64_t total = 0;
    for (std::size_t k = 0; k < weights.size(); ++k) {
      const std::int64_t before = schedule.count(k, n);
      RC_ASSERT(schedule.count(k, n + 1) == before + (k == turn.source ? 1 : 0));
      total += before;
    }
    RC_ASSERT(total == n);
    RC_ASSERT(turn.consumed == schedule.count(turn.source, n));
  }));
}

TEST_CASE("turns are interleaved, and never change between versions", "[data]") {
  // A checkpoint keeps only the cursor: another function would make a resumed run read other data.
  const auto turns = [](const std::vector<double>& weights) {
    const MixtureSchedule schedule(weights);
    std::string text;
    for (std::int64_t n = 0; n < 12; ++n)
      text += static_cast<char>('a' + static_cast<char>(schedule.at(n).source));
    return text;
  };
  CHECK(turns({1}) == "aaaaaaaaaaaa");
  CHECK(turns({1, 1}) == "abababababab");
  CHECK(turns({3, 1}) == "aabaaabaaaba");
  CHECK(turns({0.7, 0.2, 0.1}) == "abaaacaabaab");
}

TEST_CASE("only the ratio of the weights counts, and decimals are kept exactly", "[data]") {
  const auto parts = [](const std::vector<double>& weights) {
    const MixtureSchedule schedule(weights);
    return std::vector<std::int64_t>(schedule.parts().begin(), schedule.parts().end());
  };
  CHECK(parts({0.29, 0.71}) == std::vector<std::int64_t>{29, 71});
  CHECK(parts({0.2, 0.2}) == std::vector<std::int64_t>{1, 1});
  CHECK(parts({600, 300, 100}) == std::vector<std::int64_t>{6, 3, 1});
  CHECK(parts({1e-6, 1}) == std::vector<std::int64_t>{1, 1'000'000});
  const auto thirds = parts({1.0 / 3, 2.0 / 3});
  CHECK(static_cast<double>(thirds[1]) / static_cast<double>(thirds[0]) == Approx(2).epsilon(1e-8));
}

TEST_CASE("weights that make no shares are refused", "[data]") {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  CHECK_THROWS_AS(MixtureSchedule(std::vector<double>{}), UsageError);
  CHECK_THROWS_WITH(MixtureSchedule({1, 0}), Contains("weight of 0"));
  CHECK_THROWS_WITH(MixtureSchedule({-1, 2}), Contains("weight of -1"));
  CHECK_THROWS_AS(MixtureSchedule({1, std::nan("")}), UsageError);
  CHECK_THROWS_AS(MixtureSchedule({1, kInfinity}), UsageError);
  CHECK_THROWS_AS(MixtureSchedule({1e308, 1e308}), UsageError);
  CHECK_THROWS_WITH(MixtureSchedule({1, 1e-12}), Contains("hardly be read"));
  CHECK_NOTHROW(MixtureSchedule({1, 1e-8}));
}

}  // namespace ovid::data
