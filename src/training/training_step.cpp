#include "src/training/training_step.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/convert/convert.h"
#include "kernels/moving_average/moving_average.h"
#include "src/core/error.h"
#include "src/core/stopwatch.h"
#include "src/memory/timeline_range.h"
#include "src/memory/transfer.h"
#include "src/model/model.h"

namespace ovid::training {
namespace {

std::size_t activation_bytes(const RunPlan& plan) {
  return memory::measure([&](memory::Arena& arena) {
    model::lay_out_activations(arena, plan.model, plan.micro_batch, plan.keep(),
                               plan.target().dtype);
    model::lay_out_activation_gradients(arena, plan.model, plan.micro_batch, plan.target().dtype);
  });
}

std::optional<model::ParameterSet> set_where(bool wanted, const RunPlan& plan, const char* purpose,
                                             kernels::DType dtype) {
  if (!wanted) return std::nullopt;
  return std::optional<model::ParameterSet>(
      std::in_place, plan.model, purpose,
      model::ParameterStorage{.dtype = dtype, .device = plan.target().device});
}

model::ParameterStorage on_device_of(const RunPlan& plan, model::ParameterStorage storage) {
  storage.device = plan.target().device;
  return storage;
}

std::size_t scratch_bytes(const RunPlan& plan) {
  const model::ParameterStorage gradients = plan.gradient_storage();
  return std::max(
      model::measure_scratch(plan.model, plan.micro_batch, plan.target(), plan.keep(), gradients),
      optimizer::AdamWOptimizer::measure_scratch(plan.model, plan.target(), gradients));
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
      execution_(plan.target().device, plan.target().threads, scratch_bytes(plan)),
      weights_(plan.model, "weights", {.device = plan.target().device}),
      rounded_(set_where(plan.rounds_weights(), plan, "weights for products", plan.target().dtype)),
      gradients_(plan.model, "gradients", on_device_of(plan, plan.gradient_storage())),
      optimizer_(plan.model, optimizer_settings(plan.config().optimizer), plan.target().device),
      average_(set_where(plan.averages_weights(), plan, "average of the weights",
                         kernels::DType::kFloat32)),
      rounded_average_(set_where(plan.averages_weights() && plan.rounds_weights(), plan,
                                 "average for products", plan.target().dtype)),
      arena_("activations", activation_bytes(plan), plan.target().device),
      activations_(model::lay_out_activations(arena_, plan.model, plan.micro_batch, plan.keep(),
                                              plan.target().dtype)),
      activation_gradients_(model::lay_out_activation_gradients(
          arena_, plan.model, plan.micro_batch, plan.target().dtype)),
      feed_(plan.target().device, plan.positions_of_step()),
      schedule_(schedule_of(plan.config())) {
  context().set_allow_tf32(plan.target().tfloat32);
}

void TrainingStep::enqueue_gradients(const data::TokenBatch& batch, std::int64_t first_sequence,
                                     float scale) {
  kernels::ExecutionContext& ctx = context();
  feed_.begin(batch);
  if (batch.count == 0) {
    for (const model::View& run : gradients_.runs()) set_zero(ctx, {.out = run});
  }
  const model::BatchShape shape = plan_.micro_batch;
  for (std::int64_t first = 0; first < batch.count; first += shape.sequences) {
    const memory::TimelineRange range(ctx.device(), "forward and backward");
    const model::ModelPass pass{
        .config = plan_.model,
        .weights = compute_weights().views(),
        .tokens = feed_.tokens(first, shape),
        .activations = activations_,
        .dropout = model::DropoutKey{.seed = plan_.config().run.seed,
                                     .pass = static_cast<std::uint64_t>(first_sequence + first)},
        .losses = feed_.losses(first, shape)};
    model::model_forward_backward(ctx,
                                  {.pass = pass,
                                   .gradients = gradients_.views(),
                                   .d = activation_gradients_,
                                   .mode = first == 0 ? kernels::GradientMode::kOverwrite
                                                      : kernels::GradientMode::kAccumulate},
                                  feed_.targets(first, shape), scale);
  }
  feed_.end();
}

StepReport TrainingStep::compute_gradients(const data::TokenBatch& batch,
                                           std::int64_t first_sequence, std::int64_t step) {
  const Stopwatch stopwatch;
  std::int64_t valid = 0;
  for (const std::int32_t target : batch.targets) valid += target != data::kIgnoreTarget ? 1 : 0;
  const bool scaled = plan_.target().dtype == kernels::DType::kFloat16;
  const float loss_scale = scaled ? static_cast<float>(loss_scale_.value) : 1.0f;
  // The mean over all valid targets of the global batch, whatever the split into micro-batches.
  const float scale = valid > 0 ? loss_scale / static_cast<float>(valid) : 0.0f;
  enqueue_gradients(batch, first_sequence, scale);
  {
    const memory::TimelineRange range(context().device(), "gradient norm");
    optimizer_.measure_gradients(context(), gradients_, 1.0f / loss_scale);
  }
  synchronize();

  StepReport report;
  report.loss = valid > 0 ? feed_.loss_sum() / static_cast<double>(valid) : 0.0;
  report.gradient_norm = optimizer_.gradient_norm();
  report.learning_rate = optimizer::learning_rate(schedule_, step);
  report.sequences = batch.count;
  report.tokens = batch.count * plan_.micro_batch.length;
  report.seconds = stopwatch.seconds();
  return report;
}

void TrainingStep::update(StepReport& report, std::int64_t step) {
  const Stopwatch stopwatch;
  const memory::TimelineRange range(context().device(), "update");
  optimizer_.update(context(), {.weights = weights_,
                                .rounded = rounded_ ? &*rounded_ : nullptr,
                                .gradients = gradients_,
                                .learning_rate = report.learning_rate,
                                .step = step + 1,
                                .seed = plan_.config().run.seed});
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

void TrainingStep::adopt_weights(std::int64_t steps) {
  if (!rounded_) return;
  optimizer_.round_weights(context(), {.weights = weights_,
                                       .rounded = &*rounded_,
                                       .gradients = gradients_,
                                       .step = steps,
                                       .seed = plan_.config().run.seed});
  synchronize();
}

const model::ParameterSet& TrainingStep::compute_average() {
  if (!rounded_average_) return average_.value();
  model::round_parameters(context(), average_.value(), *rounded_average_);
  return *rounded_average_;
}

void TrainingStep::synchronize() {
  memory::synchronize(context().device());
}

}  // namespace ovid::training
