#pragma once

#include <optional>

#include "src/distributed/communicator.h"
#include "src/training/run_plan.h"
#include "src/training/run_recorder.h"
#include "src/training/training_step.h"

namespace ovid::training {

// The loss over the plan's validation data, of the weights and of their average where one is kept;
// shared by the ranks, the same on all. Nothing where a stop signal came in between: an interrupted
// validation is repeated by nobody, and is worth less than the time left. Collective.
std::optional<ValidationReport> validate_run(const RunPlan& plan, TrainingStep& step,
                                             distributed::Communicator& communicator);

// Whether the weights, as they are, give a loss that is a number: of one sequence of the training
// data. Collective where weights are sharded.
bool gives_a_loss(const RunPlan& plan, TrainingStep& step);

}  // namespace ovid::training
