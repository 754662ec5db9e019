#include "src/training/trainer.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>

#include "kernels/common/op_profile.h"
#include "src/checkpoint/retention.h"
#include "src/checkpoint/run_checkpoint.h"
#include "src/checkpoint/run_lock.h"
#include "src/core/file.h"
#include "src/core/log.h"
#include "src/data/token_loader.h"
#include "src/evaluation/loss_evaluation.h"
#include "src/memory/arena.h"
#include "src/training/batch_size.h"
#include "src/training/checkpoint_keeper.h"
#include "src/training/memory_plan.h"
#include "src/training/plan_report.h"
#include "src/training/profile_report.h"
#include "src/training/run_directory.h"
#include "src/training/run_recorder.h"
#include "src/training/run_sampler.h"
#include "src/training/run_tensors.h"
#include "src/training/stop_signal.h"
#include "src/training/training_state.h"
#include "src/training/training_step.h"

namespace ovid::training {
namespace {

data::SequenceOrder order_of(config::DataOrder order) {
  return order == config::DataOrder::kShuffled ? data::SequenceOrder::kShuffled
                                               : data::SequenceOrder::kSequential;
}

TrainingState initial_state(const RunPlan& plan) {
  return {.seed = plan.config().run.seed,
          .data_fingerprint = plan.data_fingerprint,
          .order = order_of(plan.config().data.order),
          .length = plan.micro_batch.length,
          .model = plan.model};
}

GuardSettings guard_settings(const config::GuardSection& c) {
  return {.window = c.window, .outlier_z = c.outlier_z, .most_skips = c.most_skips};
}

bool due(std::int64_t step, std::int64_t every_steps, std::int64_t steps) {
  return every_steps > 0 && (step % every_steps == 0 || step == steps);
}

// A run in progress. begin() finds or makes its starting point; loop() does the rest.
class Trainer {
 public:
  // `room_for_copies`: whether the machine had room for those that checkpoints are written from.
  Trainer(const RunPlan& plan, const MemoryPlan& memory, bool room_for_copies)
      : plan_(plan),
        memory_(memory),
        room_for_copies_(room_for_copies),
        config_(plan.config()),
        directory_{plan.directory},
        lock_(plan.directory),
        state_(initial_state(plan)),
        step_(plan) {
    if (plan.tokenizer) tokenizer_.emplace(tokenizer::Tokenizer::load(*plan.tokenizer));
  }

  // Weights, moments and state of the newest checkpoint; or those of a new run.
  void begin() {
    checkpoint::clean_up_unfinished(directory_.root);
    const auto found = checkpoint::find_newest_valid(directory_.root);
    if (found) {
      resume(*found);
    } else if (holds_checkpoints()) {
      throw CheckpointError(fmt::format(
          "no checkpoint of {} is valid any more (the damaged ones are kept as .bad-*); move the "
          "folder away, or choose another run.name, to start again",
          directory_.root.string()));
    } else {
      start_tensors(plan_, step_);
    }
    guard_.emplace(guard_settings(config_.guard), state_.guard);
    log::open_file(directory_.log());
    make_directories(directory_.samples());
    replace_file(directory_.config(), plan_.loaded.resolved_yaml);
    replace_file(directory_.environment(), environment_json(plan_));
    if (config_.batch.micro_sequences == 0)
      write_choices(directory_, {.micro_sequences = plan_.micro_batch.sequences});
    if (tokenizer_) tokenizer_->save(directory_.tokenizer());
    keeper_.emplace(plan_, found ? std::optional(found->step) : std::nullopt);
    for (const std::string& line : describe_run(plan_, memory_)) log::info(line);
  }

  ExitCode loop(kernels::OpProfile* profile) {
    if (const std::string why = finished(); !why.empty()) {
      log::info(why);
      return ExitCode::kDone;
    }
    recorder_.emplace(plan_, directory_, state_);
    if (state_.step > 0) {
      recorder_->event(
          state_, "resumed",
          fmt::format("resuming {} at step {}", directory_.root.string(), state_.step));
    } else if (config_.checkpoint.initial && !keeper_->begun(0)) {
      keeper_->save_at_end(0, content(), state_.best_step, in_doubt());
    }
    if (saves_beside_training(config_)) keeper_->prepare(content(), room_for_copies_);
    step_.context().set_profile(profile);
    try {
      const ExitCode code = train_on();
      step_.context().set_profile(nullptr);
      recorder_->finish(code == ExitCode::kDone ? metrics::SessionStatus::kSuccess
                                                : metrics::SessionStatus::kRunning);
      return code;
    } catch (...) {
      recorder_->finish(metrics::SessionStatus::kFailure);
      throw;
    }
  }

 private:
  ExitCode train_on() {
    const data::TokenLoaderOptions options{
        .order = state_.order, .seed = state_.seed, .length = plan_.micro_batch.length};
    data::TokenLoader loader(*plan_.train, options, state_.sequences_consumed);
    const std::int64_t steps = config_.training.steps;
    while (finished().empty()) {
      if (stop_requested()) return stop();
      take_step(loader);
      if (plan_.validation && due(state_.step, config_.validation.every_steps, steps)) validate();
      if (stop_requested()) return stop();
      if (due(state_.step, config_.samples.every_steps, steps)) sample();
      // take_step() saves, once it has seen what the weights do.
      save_is_due_ = save_is_due_ || due(state_.step, config_.checkpoint.every_steps, steps);
      tell_news();
    }
    save_at_end();
    recorder_->event(
        state_, state_.step < steps ? "early_stop" : "done",
        fmt::format("done: {} steps, loss {:.4f}{}. Try: ovid generate --model {} --prompt \"...\"",
                    state_.step, last_loss_,
                    state_.step < steps ? fmt::format(" (stopped early: {} validations without "
                                                      "improvement on {:.4f})",
                                                      state_.validations.without_improvement,
                                                      state_.validations.lowest.value_or(0))
                                        : "",
                    checkpoint_path(state_.step).string()));
    return ExitCode::kDone;
  }

  // Why there is nothing left to do; empty where there is.
  std::string finished() const {
    if (state_.step >= config_.training.steps) {
      return fmt::format(
          "{} is done: {} steps. Raise training.steps to train on, or choose another run.name.",
          directory_.root.string(), state_.step);
    }
    if (out_of_patience(state_.validations, config_.early_stopping.patience)) {
      return fmt::format(
          "{} stopped early at step {}: {} validations did not improve. Raise "
          "early_stopping.patience to train on, or choose another run.name.",
          directory_.root.string(), state_.step, state_.validations.without_improvement);
    }
    return "";
  }

  Path checkpoint_path(std::int64_t step) const {
    return directory_.checkpoints() / fmt::format("step-{:08}", step);
  }

  // Whole or damaged ones: a run that lost all of them must not start again unasked.
  bool holds_checkpoints() const {
    if (!std::filesystem::is_directory(directory_.checkpoints())) return false;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.checkpoints())) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("step-") || name.starts_with(".bad-")) return true;
    }
    return false;
  }

  void resume(const checkpoint::FoundCheckpoint& found) {
    TrainingState saved =
        training_state_from_json(found.state_json, (found.path / "state.json").string());
    check_continues(saved, state_, directory_.root.string());
    resume_tensors(plan_, found.path, saved.last_update, step_);
    if (saved.loss_scale) step_.loss_scale() = *saved.loss_scale;
    saved.model = state_.model;  // dropout may change from one part of a run to the next
    state_ = saved;
    if (in_doubt()) resumed_in_doubt_ = state_.step;
  }

  void take_step(data::TokenLoader& loader) {
    const std::int64_t sequences =
        batch_sequences(config_.batch, plan_.micro_batch.sequences, state_.step);
    const data::TokenBatch& batch = loader.next(sequences);
    StepReport report = step_.compute_gradients(batch, state_.sequences_consumed, state_.step);
    const bool overflow = halved_loss_scale(report);
    const std::string doubt = overflow ? "" : guard_->judge(report.loss, report.gradient_norm);
    if (doubt.empty() && !overflow) {
      // A checkpoint waits for this: that the weights of the step before give a loss that can be
      // believed. Saved right after their update, a wreck would push out the last good one.
      if (save_is_due_) save();
      step_.update(report, state_.step);
      state_.last_update = state_.step + 1;
    }
    ++state_.step;
    state_.sequences_consumed = loader.cursor();
    state_.tokens += report.tokens;
    state_.guard = guard_->state();
    last_loss_ = report.loss;
    recorder_->step(report, state_);
    if (overflow) tell_overflow();
    if (!doubt.empty()) skipped(doubt);
  }

  // Whether float16 gradients overflowed and a smaller loss scale may cure that: the update is left
  // out, and the guard, which watches the run and not the number type, hears nothing of it.
  bool halved_loss_scale(const StepReport& report) {
    if (plan_.target().dtype != kernels::DType::kFloat16) return false;
    const bool finite = std::isfinite(report.gradient_norm);
    bool halved = false;
    if (finite) {
      step_.loss_scale().note_good();
    } else {
      halved = std::isfinite(report.loss) && step_.loss_scale().note_overflow();
    }
    state_.loss_scale = step_.loss_scale();
    return halved;
  }

  void tell_overflow() {
    recorder_->event(state_, "loss_scale",
                     fmt::format("step {}: gradients overflowed float16: update left out, the loss "
                                 "scale is now {}",
                                 state_.step, state_.loss_scale->value));
  }

  void skipped(const std::string& doubt) {
    recorder_->warning(
        state_, "skipped_update",
        fmt::format("step {}: update skipped: {} ({} in a row, {} are allowed)", state_.step, doubt,
                    state_.guard.skips_in_a_row, config_.guard.most_skips));
    if (!guard_->gives_up()) return;
    keeper_->finish_writing();  // or the message would name an older one
    const std::string message = fmt::format(
        "step {}: {}: training has diverged, {} updates in a row were skipped; the last good "
        "checkpoint is {}. Continue from it with a lower optimizer.learning_rate, or more "
        "schedule.warmup_steps",
        state_.step, doubt, state_.guard.skips_in_a_row, last_good_checkpoint());
    recorder_->warning(state_, "diverged", message);
    throw DivergedError(message);
  }

  std::optional<evaluation::LossSum> validation_loss(const model::ParameterSet& weights) {
    const evaluation::LossSum sum = evaluation::evaluate_loss(
        step_.context(),
        {.config = plan_.model,
         .weights = weights.views(),
         .activations = step_.activations(),
         .batch = plan_.micro_batch,
         .dataset = *plan_.validation,
         .windows = config_.validation.sequences,
         .on_progress = [](std::int64_t, std::int64_t) { return !stop_requested(); }});
    // An interrupted validation is repeated by nobody, and is worth less than the time left.
    return sum.complete ? std::optional(sum) : std::nullopt;
  }

  void validate() {
    const auto sum = validation_loss(step_.compute_weights());
    if (!sum) return;
    ValidationReport report{.loss = sum->mean(), .average_loss = {}, .tokens = sum->targets};
    if (step_.average() != nullptr) {
      const auto average = validation_loss(step_.compute_average());
      if (!average) return;
      report.average_loss = average->mean();
    }
    recorder_->validation(report, state_);
    newest_validation_ = report.watched();
    validated_step_ = state_.step;
    const bool improved = note_validation(state_.validations, report.watched(),
                                          config_.early_stopping.minimum_improvement);
    if (improved && config_.checkpoint.save_best) save();
    recorder_->write_report();
  }

  void sample() {
    const model::ParameterSet& weights =
        step_.average() != nullptr ? step_.compute_average() : step_.compute_weights();
    recorder_->sample(sample_text(plan_, weights, tokenizer_ ? &*tokenizer_ : nullptr), state_);
  }

  checkpoint::CheckpointContent content() {
    if (newest_validation_ && validated_step_ == state_.step &&
        (!state_.best_validation_loss || *newest_validation_ < *state_.best_validation_loss)) {
      state_.best_validation_loss = newest_validation_;
      state_.best_step = state_.step;
    }
    checkpoint::CheckpointContent content = content_of(plan_, step_);
    if (tokenizer_) content.end_of_text = tokenizer_->end_of_text();
    content.state_json = to_json(state_);
    content.metadata = {{"ranks", "1"}};
    if (tokenizer_) content.tokenizer = directory_.tokenizer();
    return content;
  }

  void save() {
    save_is_due_ = false;
    if (keeper_->begun(state_.step)) return;
    const checkpoint::CheckpointContent now = content();
    keeper_->save(state_.step, now, state_.best_step);
    tell_news();
  }

  void save_at_end() {
    const checkpoint::CheckpointContent now = content();
    keeper_->save_at_end(state_.step, now, state_.best_step, in_doubt());
  }

  // Whether the last loss could not be believed, so that the weights may be what is wrong.
  bool in_doubt() const { return state_.guard.skips_in_a_row > 0; }

  // The newest that was not saved in doubt.
  std::string last_good_checkpoint() const {
    std::optional<std::int64_t> good = keeper_->last_saved();
    if (good && good == resumed_in_doubt_) {
      good.reset();
      for (const auto& earlier : checkpoint::list_checkpoints(directory_.root)) {
        if (earlier.valid && earlier.step < *resumed_in_doubt_) good = earlier.step;
      }
    }
    return good ? checkpoint_path(*good).string() : "none";
  }

  void tell_news() {
    while (const auto news = keeper_->news()) {
      if (!news->failure.empty()) recorder_->warning(state_, "failed_save", news->failure);
    }
  }

  ExitCode stop() {
    save_at_end();
    recorder_->event(state_, "stopped",
                     fmt::format("{}: saved step {} and stopped; the same command continues",
                                 stop_signal_name(), state_.step));
    return ExitCode::kStoppedAndSaved;
  }

  const RunPlan& plan_;
  const MemoryPlan& memory_;
  const bool room_for_copies_;
  const config::RunConfig& config_;
  RunDirectory directory_;
  checkpoint::RunLock lock_;
  TrainingState state_;
  TrainingStep step_;
  std::optional<StepGuard> guard_;
  std::optional<tokenizer::Tokenizer> tokenizer_;
  std::optional<CheckpointKeeper> keeper_;
  std::optional<RunRecorder> recorder_;
  std::optional<double> newest_validation_;
  std::int64_t validated_step_ = -1;
  std::optional<std::int64_t> resumed_in_doubt_;
  bool save_is_due_ = false;
  double last_loss_ = 0;
};

}  // namespace

ExitCode train(RunPlan plan, const TrainSettings& settings) {
  if (settings.profile && plan.target().kind == kernels::DeviceKind::kCuda) {
    throw UsageError(
        "--profile times the CPU's ops; a GPU's are seen with `nsys profile ovid train ...`, whose "
        "timeline shows forward and backward, gradient norm and update by name");
  }
  const MemoryPlan memory = plan_memory(plan);
  check_memory(plan, memory);
  Trainer trainer(plan, memory, has_room_for_peak(memory));
  trainer.begin();
  kernels::OpProfile profile;
  const ExitCode code = trainer.loop(settings.profile ? &profile : nullptr);
  if (settings.profile) report_profile(plan, profile);
  return code;
}

}  // namespace ovid::training
