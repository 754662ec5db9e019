#include "src/training/stage_three.h"

#include <fmt/format.h>

#include "src/checkpoint/adapter_files.h"
#include "src/core/error.h"
#include "src/core/log.h"
#include "src/memory/transfer.h"
#include "src/model/initialisation.h"

namespace ovid::training {
namespace {

[[noreturn]] void refuse(const std::string& what, const std::string& cure) {
  throw UsageError(fmt::format(
      "distributed.zero_stage = 3 keeps each weight on one rank alone, and {} needs all; {}", what,
      cure));
}

std::vector<checkpoint::NamedDestination> destinations_of(const RunPlan& plan,
                                                          const ShardedWeights& weights) {
  std::vector<checkpoint::NamedDestination> destinations;
  for (const WeightPiece& piece : weights.pieces())
    destinations.push_back({stored_name(piece), piece.view, plan.target().device});
  return destinations;
}

void initialise_parts(const RunPlan& plan, const ShardedWeights& weights) {
  kernels::cuda::Device* const device = plan.target().device;
  std::vector<float> staged;  // of a piece that lies on a device
  for (const WeightPiece& piece : weights.pieces()) {
    const auto count = static_cast<std::size_t>(piece.view.elements());
    const auto fill = [&](float* values) {
      model::initialise_range(piece.description, plan.model, plan.config().run.seed, piece.begin,
                              {values, count});
    };
    if (device == nullptr) {
      fill(piece.view.data<float>());
      continue;
    }
    staged.resize(count);
    fill(staged.data());
    memory::copy_to_device(device, piece.view,
                           {staged.data(), kernels::DType::kFloat32, piece.view.shape()});
    memory::synchronize(device);  // the next piece is staged in the same place
  }
}

}  // namespace

void check_stage_three(const RunPlan& plan) {
  if (!plan.shards_weights()) return;
  const config::RunConfig& c = plan.config();
  if (c.weight_average.decay > 0) {
    refuse(fmt::format("weight_average.decay = {}", c.weight_average.decay),
           "use distributed.zero_stage: 2, or weight_average.decay: 0");
  }
  if (!plan.model.frozen.empty()) {
    refuse(plan.model.low_rank.rank > 0 ? fmt::format("lora.rank = {}", plan.model.low_rank.rank)
                                        : "training.freeze",
           "use distributed.zero_stage: 1, with which frozen tensors have no gradients either");
  }
  if (c.initialize_from && plan.rows_to_read != plan.model.vocabulary_size) {
    refuse(fmt::format("an embedding that grows from {} to {} rows", plan.rows_to_read,
                       plan.model.vocabulary_size),
           "begin the run with distributed.zero_stage: 2; its checkpoints go on with 3");
  }
}

void start_weight_parts(const RunPlan& plan, const ShardedWeights& weights) {
  const std::optional<std::string>& from = plan.config().initialize_from;
  if (!from) return initialise_parts(plan, weights);
  if (checkpoint::find_adapter(*from)) {
    refuse(fmt::format("merging the adapters in {}", *from),
           "begin the run with distributed.zero_stage: 2; its checkpoints go on with 3");
  }
  log::info(fmt::format("starting from the weights of {}", *from));
  checkpoint::load_parameter_parts(*from, plan.model, destinations_of(plan, weights));
}

void resume_weight_parts(const RunPlan& plan, const Path& checkpoint,
                         const ShardedWeights& weights) {
  checkpoint::load_parameter_parts(checkpoint, plan.model, destinations_of(plan, weights));
}

std::vector<checkpoint::NamedTensor> named_parts(const RunPlan& plan,
                                                 const ShardedWeights& weights) {
  std::vector<checkpoint::NamedTensor> named;
  for (const WeightPiece& piece : weights.pieces())
    named.push_back({stored_name(piece), piece.view, plan.target().device});
  return named;
}

}  // namespace ovid::training
