#pragma once

#include "kernels/common/op_profile.h"
#include "src/training/run_plan.h"

namespace ovid::training {

// Where the time went, op by op: a table on standard error (calls, milliseconds a call, share of
// the time, GFLOP/s, GB/s, and how near each is to the machine's limit, measured now), and the same
// as RUN/profile.json.
void report_profile(const RunPlan& plan, const kernels::OpProfile& profile);

}  // namespace ovid::training
