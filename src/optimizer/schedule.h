#pragma once

#include <cstdint>

namespace ovid::optimizer {

enum class ScheduleKind { kCosine, kLinear, kConstant, kWarmupStableDecay };

struct Schedule {
  ScheduleKind kind = ScheduleKind::kCosine;
  double peak = 0;            // learning rate after warm-up
  double final_fraction = 0;  // of the peak, reached after the last step
  std::int64_t warmup_steps = 0;
  std::int64_t steps = 0;       // of the whole run
  double decay_fraction = 0.1;  // warmup-stable-decay: the part of the run, at its end, that decays
};

// The learning rate of update `step`, counted from 0. Warm-up rises linearly from peak /
// warmup_steps at step 0 to the peak. Then, with p = (step - warmup_steps) / (steps - warmup_steps)
// in [0, 1]:
//   cosine    peak (f + (1 - f) (1 + cos(pi p)) / 2)     Loshchilov, Hutter 2017
//   linear    peak (1 - (1 - f) p)
//   constant  peak
//   warmup-stable-decay  peak, and over the last decay_fraction of the run linearly down to f peak
double learning_rate(const Schedule& schedule, std::int64_t step);

}  // namespace ovid::optimizer
