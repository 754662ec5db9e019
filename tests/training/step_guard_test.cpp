#include "src/training/step_guard.h"

#include <cmath>
#include <limits>

#include "tests/catch.h"

namespace ovid::training {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A guard whose window is full of losses and norms that alternate around 2 and 1.
StepGuard seasoned(GuardSettings settings) {
  StepGuard guard(settings);
  for (int i = 0; i < settings.window; ++i) {
    const double swing = i % 2 == 0 ? 0.1 : -0.1;
    REQUIRE(guard.judge(2.0 + swing, 1.0 + swing).empty());
  }
  return guard;
}

}  // namespace

TEST_CASE("what is not finite is skipped and never remembered", "[training]") {
  StepGuard guard = seasoned({.window = 16});
  const GuardState before = guard.state();
  for (const double bad : {kNan, kInfinity, -kInfinity}) {
    CHECK_FALSE(guard.judge(bad, 1.0).empty());
    CHECK_FALSE(guard.judge(2.0, bad).empty());
  }
  CHECK(guard.state().losses == before.losses);
  CHECK(guard.state().gradient_norms == before.gradient_norms);
  CHECK(guard.state().skips == 6);
  // The detector still sees an outlier afterwards: a running sum would hold the NaN for ever.
  CHECK_FALSE(guard.judge(2.0, 50.0).empty());
  CHECK(guard.judge(2.0, 1.0).empty());
}

TEST_CASE("an outlier is measured in standard deviations above the window", "[training]") {
  StepGuard guard = seasoned({.window = 16, .outlier_z = 6});  // deviation 0.1: limits 2.6 and 1.6
  CHECK(guard.judge(2.55, 1.0).empty());
  CHECK(guard.judge(0.0, 0.0).empty());  // a fall is no outlier
  StepGuard other = seasoned({.window = 16, .outlier_z = 6});
  const std::string reason = other.judge(2.65, 1.0);
  CHECK_THAT(reason, Catch::Matchers::Contains("loss 2.65") &&
                         Catch::Matchers::Contains("6.5 standard deviations"));
  CHECK_THAT(seasoned({.window = 16, .outlier_z = 6}).judge(2.0, 9.0),
             Catch::Matchers::Contains("gradient norm 9"));
}

TEST_CASE("one spike does not blind the guard, and a lasting rise is accepted", "[training]") {
  StepGuard guard = seasoned({.window = 16, .outlier_z = 6});
  CHECK_FALSE(guard.judge(1e6, 1.0).empty());
  CHECK_FALSE(guard.judge(1e6, 1.0).empty());
  int skipped = 0;
  while (!guard.judge(4.0, 1.0).empty()) REQUIRE(++skipped < 16);
}

TEST_CASE("outliers are not looked for before the window is full, nor with outlier_z 0",
          "[training]") {
  StepGuard young({.window = 16});
  for (int i = 0; i < 15; ++i) CHECK(young.judge(i == 7 ? 1e9 : 2.0, 1.0).empty());
  StepGuard off = seasoned({.window = 16, .outlier_z = 0});
  CHECK(off.judge(1e9, 1e9).empty());
  CHECK_FALSE(off.judge(kNan, 1.0).empty());
}

TEST_CASE("the guard gives up after more skips in a row than allowed", "[training]") {
  StepGuard guard({.window = 4, .most_skips = 2});
  for (int i = 0; i < 2; ++i) guard.judge(kNan, 1.0);
  CHECK_FALSE(guard.gives_up());
  guard.judge(2.0, 1.0);
  for (int i = 0; i < 2; ++i) guard.judge(kNan, 1.0);
  CHECK_FALSE(guard.gives_up());
  guard.judge(kNan, 1.0);
  CHECK(guard.gives_up());
}

TEST_CASE("a guard continues from its state as if it had never stopped", "[training]") {
  const GuardSettings settings{.window = 8, .outlier_z = 3};
  StepGuard whole(settings);
  StepGuard parted(settings);
  for (int i = 0; i < 40; ++i) {
    const double loss = i % 11 == 10 ? kNan : 2.0 + std::sin(i * 1.7) + (i % 13 == 12 ? 30 : 0);
    const std::string expected = whole.judge(loss, 1.0 + 0.1 * std::cos(i));
    parted = StepGuard(settings, parted.state());
    CHECK(parted.judge(loss, 1.0 + 0.1 * std::cos(i)) == expected);
  }
  CHECK(parted.state() == whole.state());
}

}  // namespace ovid::training
