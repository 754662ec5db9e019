#include "src/training/training_step.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/convert/convert.h"
#include "kernels/moving_average/moving_average.h"
#include "src/core/error.h"
#include "src/core/stopwatch.h"
#include "src/model/model.h"

namespace ovid::training {
namespace {

std::size_t activation_bytes(const RunPlan& plan) {
  return memory::measure([&](memory::Arena& arena) {
    model::lay_out_activations(arena, plan.model, plan.micro_batch, plan.keep());
    model::lay_out_activation_gradients(arena, plan.model, plan.micro_batch);
  });
}

optimizer::AdamWSettings optimizer_settings(const config::OptimizerSection& o) {
  return {.beta1 = o.beta1,
          .beta2 = o.beta2,
          .epsilon = o.epsilon,
          .weight_decay = o.weight_decay,
          .gradient_clip = o.gradient_clip};
}

optimizer::ScheduleKind schedule_kind(config::ScheduleKind kind) {
  switch (kind) {
    case config::ScheduleKind::kCosine:
      return optimizer::ScheduleKind::kCosine;
    case config::ScheduleKind::kLinear:
      return optimizer::ScheduleKind::kLinear;
    case config::ScheduleKind::kConstant:
      return optimizer::ScheduleKind::kConstant;
    case config::ScheduleKind::kWarmupStableDecay:
      break;
  }
  return optimizer::ScheduleKind::kWarmupStableDecay;
}

optimizer::Schedule schedule_of(const config::RunConfig& c) {
  return {.kind = schedule_kind(c.schedule.kind),
          .peak = c.optimizer.learning_rate,
          .final_fraction = c.schedule.final_fraction,
          .warmup_steps = c.schedule.warmup_steps,
          .steps = c.training.steps,
          .decay_fraction = c.schedule.decay_fraction};
}

}  // namespace

TrainingStep::TrainingStep(const RunPlan& plan)
    : plan_(plan),
      execution_(plan.device, plan.threads,
                 model::measure_scratch(plan.model, plan.micro_batch, plan.device, plan.threads,
                                        plan.keep())),
      weights_(plan.model, "weights"),
      gradients_(plan.model, "gradients"),
      optimizer_(plan.model, optimizer_settings(plan.config().optimizer)),
      average_(plan.config().weight_average.decay > 0
                   ? std::optional<model::ParameterSet>(std::in_place, plan.model,
                                                        "average of the weights")
                   : std::nullopt),
      arena_("activations", activation_bytes(plan)),
      activations_(model::lay_out_activations(arena_, plan.model, plan.micro_batch, plan.keep())),
      activation_gradients_(
          model::lay_out_activation_gradients(arena_, plan.model, plan.micro_batch)),
      schedule_(schedule_of(plan.config())) {}

StepReport TrainingStep::compute_gradients(const data::TokenBatch& batch,
                                           std::int64_t first_sequence, std::int64_t step) {
  const Stopwatch stopwatch;
  kernels::ExecutionContext& ctx = context();
  std::int64_t valid = 0;
  for (const std::int32_t target : batch.targets) valid += target != data::kIgnoreTarget ? 1 : 0;
  // The mean over all valid targets of the global batch, whatever the split into micro-batches.
  const float scale = valid > 0 ? 1.0f / static_cast<float>(valid) : 0.0f;

  if (batch.count == 0) set_zero(ctx, {.out = gradients_.flat()});
  double loss_sum = 0;
  const model::BatchShape shape = plan_.micro_batch;
  const kernels::Shape matrix{shape.sequences, shape.length};
  for (std::int64_t first = 0; first < batch.count; first += shape.sequences) {
    const auto offset = static_cast<std::size_t>(first * shape.length);
    const model::ModelPass pass{
        .config = plan_.model,
        .weights = weights_.views(),
        .tokens = {batch.tokens.data() + offset, kernels::DType::kInt32, matrix},
        .activations = activations_,
        .dropout = model::DropoutKey{.seed = plan_.config().run.seed,
                                     .pass = static_cast<std::uint64_t>(first_sequence + first)}};
    const kernels::ConstView targets(batch.targets.data() + offset, kernels::DType::kInt32, matrix);
    model::model_forward_backward(ctx,
                                  {.pass = pass,
                                   .gradients = gradients_.views(),
                                   .d = activation_gradients_,
                                   .mode = first == 0 ? kernels::GradientMode::kOverwrite
                                                      : kernels::GradientMode::kAccumulate},
                                  targets, scale);
    const float* losses = activations_.losses.data<float>();
    for (std::int64_t i = 0; i < shape.rows(); ++i) loss_sum += losses[i];
  }

  StepReport report;
  report.loss = valid > 0 ? loss_sum / static_cast<double>(valid) : 0.0;
  report.gradient_norm = optimizer_.gradient_norm(ctx, gradients_);
  report.learning_rate = optimizer::learning_rate(schedule_, step);
  report.sequences = batch.count;
  report.tokens = batch.count * shape.length;
  report.seconds = stopwatch.seconds();
  return report;
}

void TrainingStep::update(StepReport& report, std::int64_t step) {
  const Stopwatch stopwatch;
  optimizer_.update(context(), weights_, gradients_, report.gradient_norm, report.learning_rate,
                    step + 1);
  if (average_) {
    const double t = static_cast<double>(step);
    const double decay = std::min(plan_.config().weight_average.decay, (1.0 + t) / (10.0 + t));
    moving_average_update(context(), {.value = weights_.flat(),
                                      .average = average_->flat(),
                                      .decay = static_cast<float>(decay)});
  }
  report.seconds += stopwatch.seconds();
}

StepReport TrainingStep::run(const data::TokenBatch& batch, std::int64_t first_sequence,
                             std::int64_t step) {
  StepReport report = compute_gradients(batch, first_sequence, step);
  if (!std::isfinite(report.loss) || !std::isfinite(report.gradient_norm)) {
    throw DivergedError(fmt::format("step {}: loss {}, gradient norm {}: training has diverged",
                                    step + 1, report.loss, report.gradient_norm));
  }
  update(report, step);
  return report;
}

}  // namespace ovid::training
