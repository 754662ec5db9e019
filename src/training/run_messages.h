#pragma once

#include <string>

#include "src/training/gradient_exchange.h"
#include "src/training/run_plan.h"
#include "src/training/training_state.h"

// What a run says to people at its turning points.
namespace ovid::training {

// Why there is nothing left to do; empty where there is.
std::string why_finished(const RunPlan& plan, const TrainingState& state);

// At the end of the last step; `checkpoint` is what was saved then.
std::string done_message(const RunPlan& plan, const TrainingState& state, double loss,
                         const Path& checkpoint);

// Of an update that was left out, and of the end after too many of them.
std::string skipped_message(const RunPlan& plan, const TrainingState& state,
                            const std::string& doubt);
std::string diverged_message(const TrainingState& state, const std::string& doubt,
                             const std::string& last_good_checkpoint);
std::string overflow_message(const TrainingState& state);

// At the end of a run of several ranks; there must have been a step.
std::string exchange_message(const ExchangeTime& time);

}  // namespace ovid::training
