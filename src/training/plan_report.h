#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/training/memory_plan.h"
#include "src/training/speed_estimate.h"

namespace ovid::training {

// What a run needs: the answer of `ovid plan`.
struct RunNeeds {
  std::int64_t parameters = 0;
  std::int64_t trained_parameters = 0;  // without frozen ones
  MemoryPlan memory;
  std::size_t process_bytes = 0;    // program, libraries and buffers beside the arenas
  std::size_t available_bytes = 0;  // of the memory that is computed in; 0: unknown
  std::size_t host_available_bytes = 0;
  std::string cure;  // the one setting that would fit, where memory does not
  std::size_t checkpoint_bytes = 0;
  std::int64_t checkpoints_kept = 0;  // at the end, the one being written included
  std::size_t free_disk_bytes = 0;
  std::int64_t steps = 0;
  std::int64_t tokens_a_step = 0;  // after the ramp
  std::int64_t tokens = 0;
  double epochs = 0;
  double flops = 0;                    // of the training
  std::optional<SpeedEstimate> speed;  // absent: not measured
  double step_seconds = 0;
  double training_seconds = 0;    // of all steps
  double validation_seconds = 0;  // of all validations

  // Of the memory that is computed in: the host's, with the program, or a GPU's.
  std::size_t peak_bytes() const { return memory.peak() + beside(); }
  bool fits_memory() const {
    return available_bytes == 0 || memory.needed() + beside() <= available_bytes;
  }
  std::size_t host_peak_bytes() const { return memory.host_peak() + process_bytes; }
  std::size_t disk_bytes() const {
    return checkpoint_bytes * static_cast<std::size_t>(checkpoints_kept);
  }
  bool fits_disk() const { return disk_bytes() <= free_disk_bytes; }

 private:
  std::size_t beside() const { return memory.on_gpu ? 0 : process_bytes; }
};

// `measure_speed`: also time parts of the model, some seconds.
RunNeeds needs_of(const RunPlan& plan, bool measure_speed);

// What a run says of itself when it begins: its model, where it computes, and why there.
std::vector<std::string> describe_run(const RunPlan& plan, const MemoryPlan& memory);

std::string to_text(const RunPlan& plan, const RunNeeds& needs);
std::string to_json(const RunPlan& plan, const RunNeeds& needs);

}  // namespace ovid::training
