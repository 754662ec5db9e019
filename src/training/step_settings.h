#pragma once

#include "src/optimizer/adamw_optimizer.h"
#include "src/optimizer/schedule.h"
#include "src/training/run_plan.h"

// A plan's config in the words of the optimizer.
namespace ovid::training {

optimizer::AdamWSettings optimizer_settings(const RunPlan& plan);
optimizer::MomentSharding moment_sharding(const RunPlan& plan);
optimizer::Schedule schedule_of(const config::RunConfig& c);

}  // namespace ovid::training
