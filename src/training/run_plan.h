#pragma once

#include <memory>
#include <optional>
#include <string>

#include "kernels/common/execution_context.h"
#include "src/config/config.h"
#include "src/data/dataset.h"
#include "src/data/token_mixture.h"
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
  std::unique_ptr<data::TokenMixture> train;
  std::string data_fingerprint;                    // of train
  std::unique_ptr<data::TokenDataset> validation;  // null: none

  const config::RunConfig& config() const { return loaded.values; }
  model::Keep keep() const;  // by config().recompute
};

// Throws UsageError (settings that contradict each other or that this version lacks), DataError
// (data), CheckpointError (initialize_from).
RunPlan make_run_plan(config::LoadedConfig loaded);

}  // namespace ovid::training
