#pragma once

#include "src/training/run_plan.h"

namespace ovid::training {

// How fast this machine would train, measured on parts of the model.
struct SpeedEstimate {
  double seconds_a_sequence = 0;  // forward and backward
  double update_seconds = 0;      // of the optimizer, once a step
  double spread = 0;              // (slowest - fastest) / fastest of the repetitions
};

// Times one and two blocks with a part of the vocabulary on a pass of at most some 1,024 rows, and
// AdamW on some millions of parameters; the rest is arithmetic. Takes seconds, and memory for two
// blocks. Other programs that compute meanwhile show in `spread`.
SpeedEstimate estimate_speed(const RunPlan& plan);

}  // namespace ovid::training
