#pragma once

#include <string>

#include "src/checkpoint/run_checkpoint.h"
#include "src/core/file.h"
#include "src/training/training_step.h"

// What a step works on, from where a run begins and into its checkpoints.
namespace ovid::training {

// Fills the weights of a new run: GPT-2's initialisation, or the model of initialize_from. Throws
// CheckpointError.
void start_tensors(const RunPlan& plan, TrainingStep& step);

// Fills weights, moments and average from a checkpoint, whose last update was `last_update`; and
// has the device take the matrix products' algorithms that were chosen then. Throws
// CheckpointError.
void resume_tensors(const RunPlan& plan, const Path& checkpoint, std::int64_t last_update,
                    TrainingStep& step);

// What this rank writes: its part of the moments, of the weights too where they are sharded, and
// rank 0 also the weights (where they are not) and their average,
// config.yaml, environment.json and, of a device, the choice of algorithms. State and tokenizer are
// left to the caller. The views are the step's own.
checkpoint::CheckpointContent content_of(const RunPlan& plan, TrainingStep& step);

}  // namespace ovid::training
