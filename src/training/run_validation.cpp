#include "src/training/run_validation.h"

#include <cmath>

#include "src/evaluation/loss_evaluation.h"
#include "src/training/rank_agreement.h"
#include "src/training/stop_signal.h"

namespace ovid::training {
namespace {

std::optional<evaluation::LossSum> loss_of(const WeightsOfPass& weights, const RunPlan& plan,
                                           TrainingStep& step,
                                           distributed::Communicator& communicator) {
  // Ranks that gather weights in every pass end after the same one.
  const auto goes_on = [&](std::int64_t, std::int64_t) {
    return plan.shards_weights() ? who_stops(communicator).empty() : !stop_requested();
  };
  const evaluation::LossSum sum =
      evaluation::evaluate_loss(step.context(), {.config = plan.model,
                                                 .weights = weights.views,
                                                 .activations = step.activations(),
                                                 .batch = plan.micro_batch,
                                                 .dataset = *plan.validation,
                                                 .windows = plan.config().validation.sequences,
                                                 .communicator = &communicator,
                                                 .on_progress = goes_on,
                                                 .on_weights_needed = weights.on_needed,
                                                 .joins_passes = plan.shards_weights()});
  return sum.complete ? std::optional(sum) : std::nullopt;
}

}  // namespace

std::optional<ValidationReport> validate_run(const RunPlan& plan, TrainingStep& step,
                                             distributed::Communicator& communicator) {
  const auto sum = loss_of(step.weights_of_pass(), plan, step, communicator);
  if (!sum) return std::nullopt;
  ValidationReport report{.loss = sum->mean(), .average_loss = {}, .tokens = sum->targets};
  if (step.average() != nullptr) {
    const auto average =
        loss_of({.views = step.compute_average().views()}, plan, step, communicator);
    if (!average) return std::nullopt;
    report.average_loss = average->mean();
  }
  return report;
}

bool gives_a_loss(const RunPlan& plan, TrainingStep& step) {
  const WeightsOfPass weights = step.weights_of_pass();
  const evaluation::LossSum one =
      evaluation::evaluate_loss(step.context(), {.config = plan.model,
                                                 .weights = weights.views,
                                                 .activations = step.activations(),
                                                 .batch = plan.micro_batch,
                                                 .dataset = plan.train->sources().front(),
                                                 .windows = 1,
                                                 .on_weights_needed = weights.on_needed});
  return std::isfinite(one.sum);
}

}  // namespace ovid::training
