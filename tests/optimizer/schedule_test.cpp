#include "src/optimizer/schedule.h"

#include "tests/catch.h"

namespace ovid::optimizer {

TEST_CASE("warm-up rises to the peak, and every kind ends where it says", "[optimizer]") {
  Schedule s{.kind = ScheduleKind::kCosine,
             .peak = 1.0,
             .final_fraction = 0.1,
             .warmup_steps = 10,
             .steps = 110};
  CHECK(learning_rate(s, 0) == Approx(0.1));
  CHECK(learning_rate(s, 9) == Approx(1.0));
  CHECK(learning_rate(s, 10) == Approx(1.0));
  CHECK(learning_rate(s, 60) == Approx(0.55));
  CHECK(learning_rate(s, 110) == Approx(0.1));
  CHECK(learning_rate(s, 1000) == Approx(0.1));

  s.kind = ScheduleKind::kLinear;
  CHECK(learning_rate(s, 60) == Approx(0.55));
  CHECK(learning_rate(s, 35) == Approx(0.775));

  s.kind = ScheduleKind::kConstant;
  CHECK(learning_rate(s, 0) == Approx(0.1));
  CHECK(learning_rate(s, 109) == Approx(1.0));

  s.kind = ScheduleKind::kWarmupStableDecay;
  s.decay_fraction = 0.2;  // the last 22 of 110 steps
  CHECK(learning_rate(s, 87) == Approx(1.0));
  CHECK(learning_rate(s, 99) == Approx(1.0 - 0.9 * 0.5));
  CHECK(learning_rate(s, 110) == Approx(0.1));
}

TEST_CASE("a schedule without warm-up begins at the peak", "[optimizer]") {
  const Schedule s{.kind = ScheduleKind::kCosine,
                   .peak = 2.0,
                   .final_fraction = 0,
                   .warmup_steps = 0,
                   .steps = 4};
  CHECK(learning_rate(s, 0) == Approx(2.0));
  CHECK(learning_rate(s, 4) == Approx(0.0).margin(1e-15));
}

}  // namespace ovid::optimizer
