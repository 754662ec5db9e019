#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "src/training/run_plan.h"

namespace ovid::training {

// Bytes of every arena of a run, found without taking any of them; of one rank where there are
// several.
struct MemoryPlan {
  struct Part {
    std::string name;
    std::size_t bytes = 0;
  };
  bool on_gpu = false;           // parts and sampling are a GPU's memory, the rest the host's
  std::vector<Part> parts;       // held from start to end
  std::size_t sampling = 0;      // while a sample is generated
  std::size_t pinned = 0;        // what a GPU's copies go through
  std::size_t snapshot = 0;      // the copy that asynchronous checkpoints are written from
  std::size_t resident() const;  // of all parts
  // The most at one moment, in the memory that is computed in. Without the snapshot a run still
  // works: it then saves synchronously.
  std::size_t peak() const { return needed() + (on_gpu ? 0 : snapshot); }
  std::size_t needed() const { return resident() + sampling; }
  // The most of the host's memory.
  std::size_t host_peak() const { return on_gpu ? pinned + snapshot : peak(); }
};
MemoryPlan plan_memory(const RunPlan& plan);

// What is free in bytes of the memory that the plan computes in; 0 where unknown.
std::size_t available_memory(const RunPlan& plan);

// Whether the run saves checkpoints while it trains on, from a copy in memory.
bool saves_beside_training(const config::RunConfig& config);

// Whether the machine has room now for all that the run takes at its peak, the copy for
// asynchronous checkpoints included. To be asked before any of it is taken; true where the machine
// does not say.
bool has_room_for_peak(const MemoryPlan& memory);

// Throws ResourceError where the GPU, or the machine, has clearly less memory than needed; the
// message has the sizes and the one setting that would help.
void check_memory(const RunPlan& plan, const MemoryPlan& memory);

// The setting nearest to the plan's that fits `available` bytes: fewer sequences a pass, then
// recomputation, then moments in bfloat16. As text ("batch.micro_sequences: 4"), empty where none
// fits.
std::string setting_that_fits(const RunPlan& plan, std::size_t available);

// The largest divisor of batch.sequences (and of batch.ramp_from) whose passes fit `available`
// bytes; 1 where none does. With 0 available, that is unknown: at most 16.
std::int64_t largest_micro_batch(const RunPlan& plan, std::size_t available);

}  // namespace ovid::training
