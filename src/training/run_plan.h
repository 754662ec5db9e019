#pragma once

#include <memory>
#include <optional>
#include <string>

#include "kernels/common/execution_context.h"
#include "src/config/config.h"
#include "src/data/dataset.h"
#include "src/model/activations.h"
#include "src/model/model_config.h"

namespace ovid::training {

// A config resolved against what it names: data opened and checked, the model's shape complete.
// Making one writes nothing.
struct RunPlan {
  config::LoadedConfig loaded;
  Path directory;  // run.directory / run.name
  model::ModelConfig model;
  model::BatchShape micro_batch;
  kernels::DeviceKind device = kernels::DeviceKind::kCpu;
  int threads = 1;
  std::optional<std::string> tokenizer;  // for Tokenizer::load
  std::unique_ptr<data::TokenDataset> train;
  std::unique_ptr<data::TokenDataset> validation;  // null: none

  const config::RunConfig& config() const { return loaded.values; }
};

// Throws UsageError (settings that contradict each other or that this version lacks), DataError
// (data), CheckpointError (initialize_from).
RunPlan make_run_plan(config::LoadedConfig loaded);

// Bytes of every arena of a run, found without taking any memory.
struct MemoryPlan {
  std::size_t weights = 0;  // the same for gradients and each moment
  std::size_t activations = 0;
  std::size_t scratch = 0;
  std::size_t total() const { return 4 * weights + activations + scratch; }
};
MemoryPlan plan_memory(const RunPlan& plan);

// Throws ResourceError where the machine has clearly less memory than planned.
void check_memory(const MemoryPlan& memory);

}  // namespace ovid::training
