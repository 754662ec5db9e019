#pragma once

#include <optional>

#include "src/checkpoint/run_checkpoint.h"
#include "src/tokenizer/tokenizer.h"
#include "src/training/memory_plan.h"
#include "src/training/run_directory.h"
#include "src/training/run_plan.h"

namespace ovid::training {

// Clears away what an interrupted save left, and finds what a run goes on from; nothing: it is new.
// Holding the run's lock. Throws CheckpointError where all checkpoints are damaged: such a run must
// not start again unasked.
std::optional<checkpoint::FoundCheckpoint> find_start(const RunDirectory& directory);

// Writes the files that a run has from its start on, and begins its log. `tokenizer` may be null.
// Throws ResourceError.
void open_run_directory(const RunPlan& plan, const MemoryPlan& memory,
                        const RunDirectory& directory, const tokenizer::Tokenizer* tokenizer);

}  // namespace ovid::training
