#pragma once

#include <memory>
#include <optional>
#include <string>

#include "src/config/config.h"
#include "src/data/dataset.h"
#include "src/data/token_mixture.h"
#include "src/distributed/rank.h"
#include "src/memory/open_target.h"
#include "src/model/activations.h"
#include "src/model/model_config.h"
#include "src/model/parameters.h"

namespace ovid::training {

// A config resolved against what it names: data opened and checked, the model's shape complete.
// Making one writes nothing.
struct RunPlan {
  config::LoadedConfig loaded;
  Path directory;  // run.directory / run.name
  model::ModelConfig model;
  // Rows of the embedding in initialize_from; fewer than the model's where tokens were added.
  std::int64_t rows_to_read = 0;
  model::BatchShape micro_batch;
  distributed::RankInfo ranks;  // which of the run's processes this is
  memory::OpenTarget compute;   // where, and in which numbers; opened unless only a plan is wanted
  std::optional<std::string> tokenizer;  // for Tokenizer::load
  std::unique_ptr<data::TokenMixture> train;
  std::string data_fingerprint;                    // of train
  std::unique_ptr<data::TokenDataset> validation;  // null: none

  const config::RunConfig& config() const { return loaded.values; }
  const memory::ComputeTarget& target() const { return compute.target; }
  model::Keep keep() const;  // by config().recompute
  // Whether products read a 16-bit copy of the weights.
  bool rounds_weights() const { return target().dtype != kernels::DType::kFloat32; }
  bool averages_weights() const { return config().weight_average.decay > 0; }
  // The number types of the gradients: float32 where a step adds to one several times, in
  // micro-batches or in the head's chunks of rows; else that of the target, which halves their
  // bytes.
  model::ParameterStorage gradient_storage() const { return gradient_storage(micro_batch); }
  model::ParameterStorage gradient_storage(const model::BatchShape& pass) const;
  std::int64_t positions_of_step() const;  // tokens of this rank's largest step
  // Whether gradients are summed sequence by sequence, in an order that ranks do not change.
  bool canonical() const {
    return config().distributed.reduction == config::ReductionOrder::kCanonical;
  }
  // Whether each rank keeps the moments of its own part alone (ZeRO stage 1).
  bool shards_moments() const { return ranks.count > 1 && config().distributed.zero_stage > 0; }
  // Whether it keeps no more of the gradients either (stage 2). In canonical order, whose sums are
  // over whole gradients of sequences, gradients stay whole in every stage.
  bool shards_gradients() const {
    return ranks.count > 1 && config().distributed.zero_stage > 1 && !canonical();
  }
  // Whether it keeps no more of the weights (stage 3), in either order.
  bool shards_weights() const { return ranks.count > 1 && config().distributed.zero_stage > 2; }
  // What the optimizer's moments are kept in.
  kernels::DType moment_dtype() const {
    return config().optimizer.state == config::OptimizerState::kBfloat16 ? kernels::DType::kBfloat16
                                                                         : kernels::DType::kFloat32;
  }
  // model::ParameterStorage::shards of weights and gradients.
  int shards() const { return canonical() || ranks.count > 1 ? ranks.count : 0; }
};

// Whether a plan opens its device: a run does; for planning, a device that is not there is planned
// for all the same.
enum class DeviceUse { kOpen, kPlanOnly };

// Throws UsageError (settings that contradict each other or that this version lacks), DataError
// (data), CheckpointError (initialize_from), ResourceError (the device).
// `ranks`: which process of the run this one is; `threads` those that it takes where device.threads
// is 0, 0 for all that it may use.
RunPlan make_run_plan(config::LoadedConfig loaded, DeviceUse use = DeviceUse::kOpen,
                      const distributed::RankInfo& ranks = {}, int threads = 0);

}  // namespace ovid::training
