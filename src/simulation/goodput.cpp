#include "src/simulation/goodput.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "src/core/error.h"

namespace ovid::simulation {
namespace {

void require_positive(const char* name, double value) {
  if (value > 0 && std::isfinite(value)) return;
  throw UsageError(fmt::format("{} = {} has to be above 0 and finite", name, value));
}

void check(const GoodputOptions& o) {
  require_positive("hours between failures", o.hours_between_failures);
  require_positive("hours between checkpoints", o.interval_hours);
  require_positive("hours of work", o.work_hours);
  if (!(o.repair_hours >= 0) || !(o.checkpoint_hours >= 0) || o.runs < 2) {
    throw UsageError("repair and checkpoint take 0 hours or more, and 2 runs are the fewest");
  }
  // An interval far beyond the failures is all but never completed: it would be simulated for ever.
  const double segment = o.interval_hours + o.checkpoint_hours + o.repair_hours;
  if (segment > 12 * o.hours_between_failures || o.work_hours / o.interval_hours > 1e7) {
    throw UsageError(
        fmt::format("checkpoints every {:.3g} h with a failure every {:.3g} h: choose an interval "
                    "near {:.3g} h",
                    o.interval_hours, o.hours_between_failures,
                    young_interval(std::max(o.checkpoint_hours, 1e-3), o.hours_between_failures)));
  }
}

// One run: hours until the work is done, and failures on the way.
struct Played {
  double hours = 0;
  std::int64_t failures = 0;
};

Played play(const GoodputOptions& o, std::mt19937_64& random) {
  // Not std::exponential_distribution: its numbers differ between libraries.
  const auto until_failure = [&] {
    const double u = (static_cast<double>(random() >> 11) + 0.5) * 0x1p-53;
    return -o.hours_between_failures * std::log(u);
  };
  Played played;
  double next_failure = until_failure();  // on the clock of the run
  // Whether `hours` pass without a failure; moves the clock to its end, or to the failure.
  const auto pass = [&](double hours) {
    if (played.hours + hours <= next_failure) {
      played.hours += hours;
      return true;
    }
    played.hours = next_failure;
    next_failure += until_failure();
    ++played.failures;
    return false;
  };
  for (double saved = 0; saved < o.work_hours;) {
    const double segment = std::min(o.interval_hours, o.work_hours - saved);
    if (pass(segment + o.checkpoint_hours)) {
      saved += segment;
    } else {
      while (!pass(o.repair_hours)) {
      }
    }
  }
  return played;
}

}  // namespace

double young_interval(double checkpoint_hours, double hours_between_failures) {
  return std::sqrt(2 * checkpoint_hours * hours_between_failures);
}

Goodput simulate_goodput(const GoodputOptions& o) {
  check(o);
  std::mt19937_64 random(o.seed);
  double sum = 0, squares = 0, failures = 0;
  for (std::int64_t run = 0; run < o.runs; ++run) {
    const Played played = play(o, random);
    sum += played.hours;
    squares += played.hours * played.hours;
    failures += static_cast<double>(played.failures);
  }
  const auto n = static_cast<double>(o.runs);
  const double mean = sum / n;
  const double variance = std::max(0.0, (squares - n * mean * mean) / (n - 1));
  Goodput result;
  // Of the mean hours: the mean of the runs' own ratios lies above what many runs get together.
  result.simulated = o.work_hours / mean;
  result.half_interval = 1.96 * std::sqrt(variance / n) / mean * result.simulated;
  result.failures = failures / n;
  const double M = o.hours_between_failures, T = o.interval_hours, C = o.checkpoint_hours;
  result.young = 1 - C / T - T / (2 * M) - o.repair_hours / M;
  result.exact = T / (M * std::exp(o.repair_hours / M) * std::expm1((T + C) / M));
  return result;
}

}  // namespace ovid::simulation
