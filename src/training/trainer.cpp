#include "src/training/trainer.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <vector>

#include "kernels/common/errors.h"
#include "kernels/common/op_profile.h"
#include "src/checkpoint/retention.h"
#include "src/checkpoint/run_checkpoint.h"
#include "src/checkpoint/run_lock.h"
#include "src/core/file.h"
#include "src/core/log.h"
#include "src/core/stopwatch.h"
#include "src/data/token_loader.h"
#include "src/distributed/single_rank_communicator.h"
#include "src/memory/arena.h"
#include "src/training/batch_size.h"
#include "src/training/checkpoint_keeper.h"
#include "src/training/crash_loop.h"
#include "src/training/memory_plan.h"
#include "src/training/profile_report.h"
#include "src/training/rank_agreement.h"
#include "src/training/rank_watch.h"
#include "src/training/run_directory.h"
#include "src/training/run_messages.h"
#include "src/training/run_recorder.h"
#include "src/training/run_sampler.h"
#include "src/training/run_start.h"
#include "src/training/run_tensors.h"
#include "src/training/run_validation.h"
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

using distributed::Section;

bool due(std::int64_t step, std::int64_t every_steps, std::int64_t steps) {
  return every_steps > 0 && (step % every_steps == 0 || step == steps);
}

// A run in progress. begin() finds or makes its starting point; loop() does the rest.
class Trainer {
 public:
  // `room_for_copies`: whether the machine had room for those that checkpoints are written from.
  Trainer(const RunPlan& plan, const MemoryPlan& memory, bool room_for_copies,
          distributed::Communicator& communicator)
      : plan_(plan),
        memory_(memory),
        room_for_copies_(room_for_copies),
        config_(plan.config()),
        directory_{plan.directory},
        communicator_(communicator),
        state_(initial_state(plan)),
        step_(plan, communicator),
        watch_(communicator_, config_, directory_.root) {
    if (leads()) lock_.emplace(plan.directory);
    if (plan.tokenizer) tokenizer_.emplace(tokenizer::Tokenizer::load(*plan.tokenizer));
  }

  // Weights, moments and state of the newest checkpoint; or those of a new run.
  void begin() {
    std::optional<checkpoint::FoundCheckpoint> found;
    if (leads()) {
      note_start();
      found = find_start(directory_);
    }
    const AgreedStart start =
        agree_on_start(communicator_, found ? std::optional(found->step) : std::nullopt);
    if (start.step) {
      const Path path = checkpoint_path(*start.step);
      resume({.path = path,
              .step = *start.step,
              .state_json = found ? found->state_json : checkpoint::read_state(path)});
    } else {
      start_tensors(plan_, step_);
    }
    guard_.emplace(guard_settings(config_.guard), state_.guard);
    step_.guard_on_device(guard_settings(config_.guard), state_.guard);
    keeper_.emplace(
        plan_, start.step,
        checkpoint::WritingRanks{
            .rank = plan_.ranks.rank, .count = plan_.ranks.count, .attempt = start.number});
    if (leads()) open_run_directory(plan_, memory_, directory_, tokenizer());
  }

  // How the run ended: what a user must change first does not count as a crash.
  void note_end(ExitCode code) {
    const bool orderly = code == ExitCode::kDone || code == ExitCode::kStoppedAndSaved ||
                         code == ExitCode::kUsage || code == ExitCode::kData ||
                         code == ExitCode::kNoCheckpoint;
    if (orderly && starts_) starts_->note_orderly_end();
  }

  // How long the first rank's gradients travelled, and what of it computing hid.
  void tell_exchange() const {
    const ExchangeTime* time = step_.exchange_time();
    if (plan_.ranks.rank == 0 && time != nullptr && time->steps > 0)
      log::info(exchange_message(*time));
  }

  ExitCode loop(kernels::OpProfile* profile) {
    if (const std::string why = why_finished(plan_, state_); !why.empty()) {
      log::info(why);
      return ExitCode::kDone;
    }
    if (leads()) recorder_.emplace(plan_, directory_, state_);
    if (state_.step > 0) {
      if (recorder_)
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
      if (recorder_)
        recorder_->finish(code == ExitCode::kDone ? metrics::SessionStatus::kSuccess
                                                  : metrics::SessionStatus::kRunning);
      return code;
    } catch (const std::exception& e) {
      watch_.note_failure(e.what());
      if (recorder_) recorder_->finish(metrics::SessionStatus::kFailure);
      throw;
    }
  }

 private:
  // Whether this rank owns the run's directory and tells of the run.
  bool leads() const { return plan_.ranks.rank == 0; }

  const tokenizer::Tokenizer* tokenizer() const { return tokenizer_ ? &*tokenizer_ : nullptr; }

  void note_start() {
    starts_.emplace(
        CrashLoopBreaker::Options{.file = directory_.starts(),
                                  .metrics = directory_.metrics(),
                                  .config = plan_.loaded.resolved_yaml,
                                  .most_starts = config_.watchdog.starts_without_progress});
  }

  ExitCode train_on() {
    const data::TokenLoaderOptions options{.order = state_.order,
                                           .seed = state_.seed,
                                           .length = plan_.micro_batch.length,
                                           .rank = plan_.ranks.rank,
                                           .ranks = plan_.ranks.count};
    data::TokenLoader loader(*plan_.train, options, state_.sequences_consumed);
    const std::int64_t steps = config_.training.steps;
    while (why_finished(plan_, state_).empty()) {
      if (const std::string who = who_stops(communicator_); !who.empty()) return stop(who);
      take_step(loader);
      if (plan_.validation && due(state_.step, config_.validation.every_steps, steps)) validate();
      if (const std::string who = who_stops(communicator_); !who.empty()) return stop(who);
      if (due(state_.step, config_.samples.every_steps, steps)) sample();
      // take_step() saves, once it has seen what the weights do.
      save_is_due_ = save_is_due_ || due(state_.step, config_.checkpoint.every_steps, steps);
      tell_news();
    }
    save_at_end();
    if (recorder_) {
      recorder_->event(state_, state_.step < steps ? "early_stop" : "done",
                       done_message(plan_, state_, last_loss_, checkpoint_path(state_.step)));
    }
    return ExitCode::kDone;
  }

  Path checkpoint_path(std::int64_t step) const {
    return directory_.checkpoints() / fmt::format("step-{:08}", step);
  }

  distributed::ReplicatedTensors replicated_weights() {
    distributed::ReplicatedTensors replicated{.device = step_.device()};
    for (const model::ParameterSet::Tensor& tensor : step_.weights().tensors()) {
      replicated.views.push_back(tensor.view);
      replicated.names.push_back(tensor.description.name);
    }
    return replicated;
  }

  // With ZeRO stage 3 each weight is on one rank alone, and there is nothing to compare.
  void compare_weights() {
    if (!plan_.shards_weights()) watch_.compare(replicated_weights(), state_.step);
  }

  // Injected damage, of runs on the CPU.
  void corrupt_weights() {
    if (step_.device() != nullptr) return;
    const ShardedWeights* const parts = step_.sharded_weights();
    if (parts != nullptr) return watch_.corrupt(parts->parts(), state_.step);
    watch_.corrupt(step_.weights().runs(), state_.step);
  }

  void resume(const checkpoint::FoundCheckpoint& found) {
    TrainingState saved =
        training_state_from_json(found.state_json, (found.path / "state.json").string());
    check_continues(saved, state_, directory_.root.string());
    resume_tensors(plan_, found.path, saved.last_update, step_);
    if (saved.loss_scale) step_.loss_scale() = *saved.loss_scale;
    saved.model = state_.model;  // dropout may change from one part of a run to the next
    state_ = saved;
    if (in_doubt() || !gives_a_loss(plan_, step_)) resumed_in_doubt_ = state_.step;
  }

  void take_step(data::TokenLoader& loader) {
    const Stopwatch stopwatch;
    watch_.enter(Section::kStep, state_.step);
    corrupt_weights();
    const std::int64_t sequences =
        batch_sequences(config_.batch, plan_.micro_batch.sequences * split_ranks(), state_.step);
    const GlobalBatch whole{.first_sequence = state_.sequences_consumed,
                            .sequences = sequences,
                            .targets = loader.count_targets(state_.sequences_consumed, sequences)};
    const data::TokenBatch& batch = loader.next_of_step(sequences);
    const double before_gradients = stopwatch.seconds();
    // What a checkpoint is to hold must not be overwritten before it is judged and copied.
    const bool at_once = step_.guards_on_device() && !save_is_due_;
    StepReport report = at_once ? step_.compute_and_update(batch, whole, state_.step)
                                : step_.compute_gradients(batch, whole, state_.step);
    const bool overflow = halved_loss_scale(report);
    const std::string doubt = overflow ? "" : guard_->judge(report.loss, report.gradient_norm);
    check_judgements_agree(report, doubt);
    if (doubt.empty() && !overflow) {
      // A checkpoint waits for this: that the weights of the step before give a loss that can be
      // believed. Saved right after their update, a wreck would push out the last good one.
      if (save_is_due_) save();
      if (!at_once) step_.update(report, state_.step);
      state_.last_update = state_.step + 1;
    }
    ++state_.step;
    state_.sequences_consumed = loader.cursor();
    state_.tokens += report.tokens;
    state_.guard = guard_->state();
    last_loss_ = report.loss;
    watch_times(before_gradients + report.own_seconds, report.own_seconds > 0 ? batch.count : 0);
    if (watch_.compares_at(state_.step)) compare_weights();
    if (recorder_) recorder_->step(report, state_);
    if (starts_) starts_->note_step(state_.step);
    if (overflow && recorder_) recorder_->event(state_, "loss_scale", overflow_message(state_));
    if (!doubt.empty()) skipped(doubt);
  }

  void check_judgements_agree(const StepReport& report, const std::string& doubt) const {
    if (!report.left_out || *report.left_out == !doubt.empty()) return;
    throw kernels::DeviceError(fmt::format(
        "step {}: the device {} the update, the host {}: loss {}, gradient norm {}; memory of the "
        "device or the host is damaged. Continue from the last checkpoint",
        state_.step + 1, *report.left_out ? "left out" : "made",
        doubt.empty() ? "would make it" : "would not (" + doubt + ")", report.loss,
        report.gradient_norm));
  }

  // What this rank computed itself in a step, in `seconds` for `sequences`; 0 of them: not known.
  void watch_times(double seconds, std::int64_t sequences) {
    if (communicator_.count() == 1) return;
    const double own = sequences > 0 ? seconds / static_cast<double>(sequences) : 0.0;
    const std::vector<std::string> news =
        watch_.note_times(state_.step, numbers_of_ranks(communicator_, own, "times"));
    const distributed::StragglerScores* scores = watch_.scores();
    if (!recorder_ || scores == nullptr) return;
    for (const std::string& text : news) recorder_->warning(state_, "straggler", text);
    const int slowest = scores->slowest();
    recorder_->note_slowest_rank(slowest,
                                 scores->scores()[static_cast<std::size_t>(slowest)].relative);
  }

  // Of the ranks that each have whole micro-batches of a step.
  std::int64_t split_ranks() const { return plan_.canonical() ? 1 : plan_.ranks.count; }

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

  void skipped(const std::string& doubt) {
    if (recorder_) {
      recorder_->warning(state_, "skipped_update", skipped_message(plan_, state_, doubt));
    }
    if (!guard_->gives_up()) return;
    keeper_->finish_writing();  // or the message would name an older one
    const std::string message = diverged_message(state_, doubt, last_good_checkpoint());
    if (recorder_) recorder_->warning(state_, "diverged", message);
    throw DivergedError(message);
  }

  void validate() {
    watch_.enter(Section::kEvaluation, state_.step);
    evaluate();
    watch_.leave(Section::kEvaluation, state_.step);
  }

  void evaluate() {
    const auto report = validate_run(plan_, step_, communicator_);
    if (!report) return;
    if (recorder_) recorder_->validation(*report, state_);
    newest_validation_ = report->watched();
    validated_step_ = state_.step;
    const bool improved = note_validation(state_.validations, report->watched(),
                                          config_.early_stopping.minimum_improvement);
    if (improved && config_.checkpoint.save_best) save();
    if (recorder_) recorder_->write_report();
  }

  void sample() {
    watch_.enter(Section::kSample, state_.step);
    if (plan_.shards_weights()) {
      const auto whole = step_.collected_weights(leads());
      if (recorder_) recorder_->sample(sample_text(plan_, whole.value(), tokenizer()), state_);
      return watch_.leave(Section::kSample, state_.step);
    }
    const model::ParameterSet& average_or_own =
        step_.average() != nullptr ? step_.compute_average() : step_.compute_weights();
    if (recorder_) {
      const bool adapted = plan_.model.low_rank.rank > 0;
      recorder_->sample(adapted ? sample_text(plan_, step_.merged_weights(), tokenizer())
                                : sample_text(plan_, average_or_own, tokenizer()),
                        state_);
    }
    watch_.leave(Section::kSample, state_.step);
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
    content.metadata = {{"ranks", std::to_string(plan_.ranks.count)}};
    if (tokenizer_) content.tokenizer = directory_.tokenizer();
    return content;
  }

  void save() {
    save_is_due_ = false;
    if (keeper_->begun(state_.step)) return;
    compare_weights();
    watch_.enter(Section::kCheckpoint, state_.step);
    const checkpoint::CheckpointContent now = content();
    keeper_->save(state_.step, now, state_.best_step);
    tell_news();
    watch_.leave(Section::kCheckpoint, state_.step);
  }

  void save_at_end() {
    compare_weights();
    watch_.enter(Section::kCheckpoint, state_.step);
    const checkpoint::CheckpointContent now = content();
    keeper_->save_at_end(state_.step, now, state_.best_step, in_doubt() || is_wreck());
    watch_.leave(Section::kCheckpoint, state_.step);
  }

  // Whether the last loss could not be believed, so that the weights may be what is wrong.
  bool in_doubt() const { return state_.guard.skips_in_a_row > 0; }

  // Whether the last update, which no step after it has judged, made weights that give no loss.
  bool is_wreck() {
    if (validated_step_ == state_.step) return !std::isfinite(newest_validation_.value());
    return !gives_a_loss(plan_, step_);
  }

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
      if (recorder_ && !news->failure.empty())
        recorder_->warning(state_, "failed_save", news->failure);
    }
  }

  ExitCode stop(const std::string& who) {
    save_at_end();
    if (recorder_)
      recorder_->event(state_, "stopped",
                       fmt::format("{}: saved step {} and stopped; the same command continues", who,
                                   state_.step));
    return ExitCode::kStoppedAndSaved;
  }

  const RunPlan& plan_;
  const MemoryPlan& memory_;
  const bool room_for_copies_;
  const config::RunConfig& config_;
  RunDirectory directory_;
  distributed::Communicator& communicator_;
  std::optional<checkpoint::RunLock> lock_;
  TrainingState state_;
  TrainingStep step_;
  RankWatch watch_;
  std::optional<StepGuard> guard_;
  std::optional<tokenizer::Tokenizer> tokenizer_;
  std::optional<CheckpointKeeper> keeper_;
  std::optional<RunRecorder> recorder_;
  std::optional<CrashLoopBreaker> starts_;
  std::optional<double> newest_validation_;
  std::int64_t validated_step_ = -1;
  std::optional<std::int64_t> resumed_in_doubt_;
  bool save_is_due_ = false;
  double last_loss_ = 0;
};

}  // namespace

ExitCode train(RunPlan plan, distributed::Communicator& communicator,
               const TrainSettings& settings) {
  if (settings.profile && plan.target().kind == kernels::DeviceKind::kCuda) {
    throw UsageError(
        "--profile times the CPU's ops; a GPU's are seen with `nsys profile ovid train ...`, whose "
        "timeline shows forward and backward, gradient norm and update by name");
  }
  agree_on_micro_batch(communicator, plan);
  const MemoryPlan memory = plan_memory(plan);
  check_memory(plan, memory);
  Trainer trainer(plan, memory, has_room_for_peak(memory), communicator);
  kernels::OpProfile profile;
  ExitCode code = ExitCode::kBug;
  try {
    trainer.begin();
    code = trainer.loop(settings.profile ? &profile : nullptr);
  } catch (const Error& e) {
    trainer.note_end(e.exit_code());
    throw;
  }
  trainer.note_end(code);
  trainer.tell_exchange();
  if (settings.profile && plan.ranks.rank == 0) report_profile(plan, profile);
  // Launchers end all ranks when one ends with another status than 0; 75 is no failure.
  communicator.barrier("end of the run");
  return code;
}

ExitCode train(RunPlan plan, const TrainSettings& settings) {
  distributed::SingleRankCommunicator alone;
  return train(std::move(plan), alone, settings);
}

}  // namespace ovid::training
