#include "src/training/run_tensors.h"

#include <fmt/format.h>

#include "kernels/common/errors.h"
#include "kernels/cuda/device.h"
#include "src/core/log.h"
#include "src/training/parameter_files.h"
#include "src/training/run_directory.h"

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
  model::initialise(step.weights(), plan.model, c.run.seed);
  if (c.initialize_from) {
    checkpoint::read_parameters(*c.initialize_from, named_destinations(step.weights()));
    log::info(fmt::format("starting from the weights of {}", *c.initialize_from));
  }
  step.adopt_weights(0);
  if (step.average() != nullptr) step.average()->copy_from(step.weights());
}

void resume_tensors(const RunPlan& plan, const Path& checkpoint, std::int64_t last_update,
                    TrainingStep& step) {
  resume_product_choices(plan, checkpoint / kProductChoices);
  checkpoint::load_parameters(checkpoint, named_destinations(step.weights()));
  step.adopt_weights(last_update);
  auto moments = named_destinations(step.optimizer().first_moment(), kFirstMoment);
  for (auto& d : named_destinations(step.optimizer().second_moment(), kSecondMoment))
    moments.push_back(d);
  checkpoint::load_optimizer(checkpoint, moments);
  if (step.average() != nullptr) resume_average(checkpoint, step);
}

checkpoint::CheckpointContent content_of(const RunPlan& plan, TrainingStep& step) {
  checkpoint::CheckpointContent content;
  content.config = plan.model;
  content.parameters = named_tensors(step.weights());
  if (step.average() != nullptr) content.average = named_tensors(*step.average());
  content.optimizer = named_tensors(step.optimizer().first_moment(), kFirstMoment);
  for (auto& tensor : named_tensors(step.optimizer().second_moment(), kSecondMoment)) {
    content.optimizer.push_back(tensor);
  }
  content.texts = {{"config.yaml", plan.loaded.resolved_yaml},
                   {"environment.json", environment_json(plan)}};
  if (plan.target().device != nullptr) {
    content.texts[kProductChoices] = plan.target().device->product_choices();
  }
  return content;
}

}  // namespace ovid::training
