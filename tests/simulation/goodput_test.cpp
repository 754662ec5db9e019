#include "src/simulation/goodput.h"

#include <cmath>

#include "src/core/error.h"
#include "tests/catch.h"

namespace ovid::simulation {

TEST_CASE("simulated goodput agrees with the exact closed form", "[simulation]") {
  struct Case {
    double between_failures, repair, checkpoint, interval;
  };
  const auto c =
      GENERATE(Case{49.5, 0.25, 0.02, 1.4}, Case{49.5, 0.25, 0.02, 8.0},
               Case{3.1, 0.2, 0.011, 0.26}, Case{1.0, 0.0, 0.0, 0.5}, Case{1.0, 0.5, 0.1, 0.45});
  const Goodput g = simulate_goodput({.hours_between_failures = c.between_failures,
                                      .repair_hours = c.repair,
                                      .checkpoint_hours = c.checkpoint,
                                      .interval_hours = c.interval,
                                      .work_hours = 1000 * c.interval,
                                      .runs = 100,
                                      .seed = 3});
  INFO("failures every " << c.between_failures << " h: simulated " << g.simulated << " +- "
                         << g.half_interval << ", exact " << g.exact << ", Young " << g.young);
  // Three standard errors: one in 370 of right simulations is outside, and the seed is fixed.
  CHECK(std::abs(g.simulated - g.exact) < g.half_interval * 3 / 1.96);
  CHECK(g.half_interval < 0.02);
  CHECK(g.failures > 10);
}

TEST_CASE("Young's interval loses less than a half and a double of it", "[simulation]") {
  const double best = young_interval(0.02, 49.5);
  CHECK(best == Approx(1.407).epsilon(1e-3));
  const auto goodput = [&](double interval) {
    return simulate_goodput({.hours_between_failures = 49.5,
                             .repair_hours = 0.25,
                             .checkpoint_hours = 0.02,
                             .interval_hours = interval,
                             .work_hours = 1000 * best,
                             .runs = 100});
  };
  CHECK(goodput(best).simulated > goodput(best / 2).simulated);
  CHECK(goodput(best).simulated > goodput(best * 2).simulated);
  // To first order: T is small beside M.
  CHECK(goodput(best).young == Approx(goodput(best).exact).epsilon(2e-3));
}

TEST_CASE("a run that never fails loses its checkpoints alone", "[simulation]") {
  const Goodput g = simulate_goodput({.hours_between_failures = 1e12,
                                      .repair_hours = 1,
                                      .checkpoint_hours = 0.1,
                                      .interval_hours = 0.9,
                                      .work_hours = 90,
                                      .runs = 2});
  CHECK(g.simulated == Approx(0.9));
  CHECK(g.failures == 0);
}

TEST_CASE("an interval that failures never let pass is refused", "[simulation]") {
  CHECK_THROWS_AS(simulate_goodput({.hours_between_failures = 1,
                                    .repair_hours = 0,
                                    .checkpoint_hours = 0.1,
                                    .interval_hours = 100,
                                    .work_hours = 1000}),
                  UsageError);
  CHECK_THROWS_AS(simulate_goodput({.hours_between_failures = 0, .interval_hours = 1}), UsageError);
}

}  // namespace ovid::simulation
