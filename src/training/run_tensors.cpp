#include "src/training/run_tensors.h"

#include <fmt/format.h>

#include "kernels/common/errors.h"
#include "kernels/cuda/device.h"
#include "src/checkpoint/adapter_files.h"
#include "src/core/log.h"
#include "src/training/data_passport.h"
#include "src/training/grown_vocabulary.h"
#include "src/training/parameter_files.h"
#include "src/training/run_directory.h"
#include "src/training/stage_three.h"

namespace ovid::training {
namespace {

constexpr const char* kProductChoices = "product_choices.json";
constexpr const char* kFirstMoment = "exp_avg.";
constexpr const char* kSecondMoment = "exp_avg_sq.";

// The same algorithms of matrix products give the same bits as before.
void resume_product_choices(const RunPlan& plan, const Path& path) {
  kernels::cuda::Device* const device = plan.target().device;
  if (device == nullptr || !std::filesystem::exists(path)) return;
  try {
    device->set_product_choices(read_file(path));
  } catch (const kernels::DeviceError& error) {
    log::warning(fmt::format("{}: {}; matrix products choose anew, so the bits may differ",
                             path.string(), error.what()));
  }
}

// The name of a piece in a file, with what of the tensor it is.
std::string stored_name(const char* prefix, const optimizer::MomentPiece& piece) {
  return piece.whole ? prefix + piece.name
                     : fmt::format("{}{}@{}:{}", prefix, piece.name, piece.begin, piece.end);
}

void resume_moments(const Path& checkpoint, TrainingStep& step) {
  std::vector<checkpoint::TensorSpecification> tensors;
  std::vector<checkpoint::NamedDestination> destinations;
  kernels::cuda::Device* const device = step.device();
  for (const char* prefix : {kFirstMoment, kSecondMoment}) {
    for (const auto& tensor : step.optimizer().layout().tensors) {
      if (!tensor.description.trained) continue;
      tensors.push_back({prefix + tensor.description.name, tensor.description.shape});
    }
  }
  for (const optimizer::MomentPiece& piece : step.optimizer().pieces_to_load()) {
    destinations.push_back({stored_name(kFirstMoment, piece), piece.first, device});
    destinations.push_back({stored_name(kSecondMoment, piece), piece.second, device});
  }
  checkpoint::load_optimizer_parts(checkpoint, tensors, destinations);
}

void resume_average(const Path& path, TrainingStep& step) {
  if (checkpoint::has_average(path)) {
    checkpoint::load_average(path, named_destinations(*step.average()));
    return;
  }
  step.average()->copy_from(step.weights());
  log::warning(
      fmt::format("{} holds no average of the weights: it begins anew from them", path.string()));
}

}  // namespace

void start_tensors(const RunPlan& plan, TrainingStep& step) {
  const config::RunConfig& c = plan.config();
  if (ShardedWeights* const parts = step.sharded_weights()) {
    start_weight_parts(plan, *parts);
    return step.adopt_weights(0);
  }
  model::initialise(step.weights(), plan.model, c.run.seed);
  if (c.initialize_from) {
    log::info(fmt::format("starting from the weights of {}", *c.initialize_from));
    const Path base = checkpoint::base_model_directory(*c.initialize_from);
    const std::int64_t added = plan.model.vocabulary_size - plan.rows_to_read;
    if (added == 0) {
      checkpoint::read_parameters(base, named_destinations(step.weights()));
    } else {
      read_grown(base, plan.rows_to_read, step.weights());
      log::info(fmt::format(
          "the embedding grows from {} to {} rows, for {} added tokens; a new row is the mean of "
          "the old ones plus GPT-2's random numbers",
          plan.rows_to_read, plan.model.vocabulary_size, added));
    }
    merge_adapter(*c.initialize_from, step.weights(), plan.target().threads);
  }
  step.adopt_weights(0);
  if (step.average() != nullptr) step.average()->copy_from(step.weights());
}

void resume_tensors(const RunPlan& plan, const Path& checkpoint, std::int64_t last_update,
                    TrainingStep& step) {
  resume_product_choices(plan, checkpoint / kProductChoices);
  if (ShardedWeights* const parts = step.sharded_weights()) {
    resume_weight_parts(plan, checkpoint, *parts);
  } else {
    checkpoint::load_parameters(checkpoint, named_destinations(step.weights()));
  }
  if (plan.model.low_rank.rank > 0) {
    checkpoint::read_adapter(checkpoint::find_adapter(checkpoint).value_or(checkpoint), plan.model,
                             named_destinations(step.weights(), TensorKind::kAdapter));
  }
  step.adopt_weights(last_update);
  resume_moments(checkpoint, step);
  if (step.average() != nullptr) resume_average(checkpoint, step);
}

checkpoint::CheckpointContent content_of(const RunPlan& plan, TrainingStep& step) {
  checkpoint::CheckpointContent content;
  content.config = plan.model;
  kernels::cuda::Device* const device = step.device();
  for (const optimizer::MomentPiece& piece : step.optimizer().pieces_to_store()) {
    content.optimizer.push_back({stored_name(kFirstMoment, piece), piece.first, device});
    content.optimizer.push_back({stored_name(kSecondMoment, piece), piece.second, device});
  }
  const ShardedWeights* const parts = step.sharded_weights();
  if (parts != nullptr) content.parameters = named_parts(plan, *parts);
  if (plan.ranks.rank > 0) return content;  // what is left is the same on all ranks
  if (parts == nullptr) content.parameters = named_tensors(step.weights());
  if (step.average() != nullptr) content.average = named_tensors(*step.average());
  content.texts = {{"config.yaml", plan.loaded.resolved_yaml},
                   {"environment.json", environment_json(plan)}};
  content.texts.merge(data_passport_texts(plan, plan.directory));
  if (plan.model.low_rank.rank > 0) {
    // The base is the checkpoint's own model: that of initialize_from may have had adapters too.
    content.texts.merge(checkpoint::adapter_texts(
        plan.model.low_rank, named_tensors(step.weights(), TensorKind::kAdapter), ".."));
  }
  if (plan.target().device != nullptr) {
    content.texts[kProductChoices] = plan.target().device->product_choices();
  }
  return content;
}

}  // namespace ovid::training
