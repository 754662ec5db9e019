#pragma once

#include <cstdint>

namespace ovid::simulation {

// A long run on machines that fail.
struct GoodputOptions {
  double hours_between_failures = 0;  // of the whole job: the mean of an exponential distribution
  double repair_hours = 0;            // from a failure until training goes on, loading included
  double checkpoint_hours = 0;        // by which a checkpoint holds training up
  double interval_hours = 0;          // of training between two checkpoints
  double work_hours = 0;              // of training in all
  std::int64_t runs = 200;            // simulated
  std::uint64_t seed = 1;
};

// Hours of training between checkpoints that lose least to first order, sqrt(2 C M) (Young 1974).
double young_interval(double checkpoint_hours, double hours_between_failures);

struct Goodput {
  // Useful hours over all hours of all runs, and half of its 95 % confidence interval (1.96
  // standard errors).
  double simulated = 0;
  double half_interval = 0;
  double failures = 0;  // of a run, mean
  // 1 - C/T - T/(2M) - D/M, with D the repair (Young 1974).
  double young = 0;
  // T / (M exp(D/M) (exp((T + C)/M) - 1)): exact for exponential failures that may strike a repair
  // and a checkpoint too, and a work that is a multiple of T (Daly 2006).
  double exact = 0;
};

// Plays the runs by events: training, checkpoint, failure, repair. What was trained since the last
// checkpoint is lost by a failure; a failure during a repair begins it anew. Throws UsageError for
// options that are not positive.
Goodput simulate_goodput(const GoodputOptions& options);

}  // namespace ovid::simulation
