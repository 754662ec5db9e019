#include "src/training/run_messages.h"

#include <fmt/format.h>

#include "src/training/early_stopping.h"

namespace ovid::training {

std::string why_finished(const RunPlan& plan, const TrainingState& state) {
  if (state.step >= plan.config().training.steps) {
    return fmt::format(
        "{} is done: {} steps. Raise training.steps to train on, or choose another run.name.",
        plan.directory.string(), state.step);
  }
  if (out_of_patience(state.validations, plan.config().early_stopping.patience)) {
    return fmt::format(
        "{} stopped early at step {}: {} validations did not improve. Raise "
        "early_stopping.patience to train on, or choose another run.name.",
        plan.directory.string(), state.step, state.validations.without_improvement);
  }
  return "";
}

std::string done_message(const RunPlan& plan, const TrainingState& state, double loss,
                         const Path& checkpoint) {
  const std::string early =
      state.step < plan.config().training.steps
          ? fmt::format(" (stopped early: {} validations without improvement on {:.4f})",
                        state.validations.without_improvement, state.validations.lowest.value_or(0))
          : "";
  return fmt::format(
      "done: {} steps, loss {:.4f}{}. Try: ovid generate --model {} --prompt \"...\"", state.step,
      loss, early, checkpoint.string());
}

std::string skipped_message(const RunPlan& plan, const TrainingState& state,
                            const std::string& doubt) {
  return fmt::format("step {}: update skipped: {} ({} in a row, {} are allowed)", state.step, doubt,
                     state.guard.skips_in_a_row, plan.config().guard.most_skips);
}

std::string diverged_message(const TrainingState& state, const std::string& doubt,
                             const std::string& last_good_checkpoint) {
  return fmt::format(
      "step {}: {}: training has diverged, {} updates in a row were skipped; the last good "
      "checkpoint is {}. Continue from it with a lower optimizer.learning_rate, or more "
      "schedule.warmup_steps",
      state.step, doubt, state.guard.skips_in_a_row, last_good_checkpoint);
}

std::string overflow_message(const TrainingState& state) {
  return fmt::format(
      "step {}: gradients overflowed float16: update left out, the loss scale is now {}",
      state.step, state.loss_scale->value);
}

std::string exchange_message(const ExchangeTime& time) {
  const double per_step = 1e3 / static_cast<double>(time.steps);
  const double hidden = time.transfer > 0 ? 1 - time.exposed / time.transfer : 1;
  return fmt::format(
      "summing gradients took {:.2f} ms a step, {:.0f} % of it hidden behind the backward pass; "
      "steps waited {:.2f} ms for it and for slower ranks",
      time.transfer * per_step, hidden * 100, time.waiting * per_step);
}

}  // namespace ovid::training
