#include "src/training/step_settings.h"

namespace ovid::training {
namespace {

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

}  // namespace

optimizer::AdamWSettings optimizer_settings(const RunPlan& plan) {
  const config::OptimizerSection& o = plan.config().optimizer;
  return {.beta1 = o.beta1,
          .beta2 = o.beta2,
          .epsilon = o.epsilon,
          .weight_decay = o.weight_decay,
          .gradient_clip = o.gradient_clip,
          .moments = plan.moment_dtype()};
}

optimizer::Schedule schedule_of(const config::RunConfig& c) {
  return {.kind = schedule_kind(c.schedule.kind),
          .peak = c.optimizer.learning_rate,
          .final_fraction = c.schedule.final_fraction,
          .warmup_steps = c.schedule.warmup_steps,
          .steps = c.training.steps,
          .decay_fraction = c.schedule.decay_fraction};
}

optimizer::MomentSharding moment_sharding(const RunPlan& plan) {
  return {
      .ranks = plan.ranks.count, .rank = plan.ranks.rank, .shards_moments = plan.shards_moments()};
}

}  // namespace ovid::training
