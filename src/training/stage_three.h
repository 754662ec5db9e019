#pragma once

#include <vector>

#include "src/checkpoint/run_checkpoint.h"
#include "src/core/file.h"
#include "src/training/run_plan.h"
#include "src/training/sharded_weights.h"

// What a run with ZeRO stage 3 does otherwise: each weight is on one rank alone.
namespace ovid::training {

// Throws UsageError, with the cure, where the plan asks for what needs whole weights on every rank:
// an average of the weights, frozen tensors, adapters, an embedding that grows.
void check_stage_three(const RunPlan& plan);

// Fills the parts of a new run: GPT-2's initialisation, or the model of initialize_from, of which
// the rank reads its own parts alone; the bits that other stages begin with. Throws UsageError
// where that model has adapters, CheckpointError.
void start_weight_parts(const RunPlan& plan, const ShardedWeights& weights);

// Fills them from a checkpoint, whatever its ranks and stage were. Throws CheckpointError.
void resume_weight_parts(const RunPlan& plan, const Path& checkpoint,
                         const ShardedWeights& weights);

// For CheckpointContent::parameters. The views are the rank's own.
std::vector<checkpoint::NamedTensor> named_parts(const RunPlan& plan,
                                                 const ShardedWeights& weights);

}  // namespace ovid::training
