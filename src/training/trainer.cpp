#include "src/training/trainer.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>
#include <optional>

#include "src/checkpoint/run_checkpoint.h"
#include "src/checkpoint/run_lock.h"
#include "src/core/file.h"
#include "src/core/log.h"
#include "src/data/token_loader.h"
#include "src/evaluation/loss_evaluation.h"
#include "src/generation/generator.h"
#include "src/memory/arena.h"
#include "src/metrics/metrics_log.h"
#include "src/metrics/progress_line.h"
#include "src/tokenizer/stream_decoder.h"
#include "src/tokenizer/tokenizer.h"
#include "src/training/parameter_files.h"
#include "src/training/run_directory.h"
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
          .data_fingerprint = plan.train->fingerprint(),
          .order = order_of(plan.config().data.order),
          .length = plan.micro_batch.length,
          .model = plan.model};
}

bool due(std::int64_t step, std::int64_t every_steps, std::int64_t steps) {
  return every_steps > 0 && (step % every_steps == 0 || step == steps);
}

// A run in progress. The constructor finds or makes its starting point; loop() does the rest.
class Trainer {
 public:
  explicit Trainer(const RunPlan& plan)
      : plan_(plan),
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
      start();
    }
    log::open_file(directory_.log());
    make_directories(directory_.samples());
    replace_file(directory_.config(), plan_.loaded.resolved_yaml);
    replace_file(directory_.environment(), environment_json(plan_));
    if (tokenizer_) tokenizer_->save(directory_.tokenizer());
    metrics_.emplace(directory_.metrics());
    describe();
    if (!found && config_.checkpoint.initial) save();
  }

  ExitCode loop() {
    if (state_.step >= config_.training.steps) {
      log::info(fmt::format(
          "{} is done: {} steps. Raise training.steps to train on, or choose another run.name.",
          directory_.root.string(), state_.step));
      return ExitCode::kDone;
    }
    const data::TokenLoaderOptions options{
        .order = state_.order, .seed = state_.seed, .length = plan_.micro_batch.length};
    data::TokenLoader loader(*plan_.train, options, state_.sequences_consumed);
    metrics::ProgressLine progress(metrics::standard_error_progress(config_.training.steps));
    while (state_.step < config_.training.steps) {
      if (stop_requested()) return stop();
      take_step(loader, progress);
      const std::int64_t step = state_.step;
      if (plan_.validation && due(step, config_.validation.every_steps, config_.training.steps))
        validate();
      if (stop_requested()) return stop();
      if (due(step, config_.samples.every_steps, config_.training.steps)) sample();
      if (due(step, config_.checkpoint.every_steps, config_.training.steps)) save_or_warn();
    }
    progress.finish();
    if (saved_step_ != state_.step) save();
    log::info(
        fmt::format("done: {} steps, loss {:.4f}. Try: ovid generate --model {} --prompt \"...\"",
                    state_.step, last_loss_, checkpoint_path(state_.step).string()));
    return ExitCode::kDone;
  }

 private:
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

  void start() {
    model::initialise(step_.weights(), plan_.model, config_.run.seed);
    if (config_.initialize_from) {
      checkpoint::read_parameters(*config_.initialize_from, named_destinations(step_.weights()));
      log::info(fmt::format("starting from the weights of {}", *config_.initialize_from));
    }
  }

  void resume(const checkpoint::FoundCheckpoint& found) {
    TrainingState saved =
        training_state_from_json(found.state_json, (found.path / "state.json").string());
    check_continues(saved, state_, directory_.root.string());
    checkpoint::load_parameters(found.path, named_destinations(step_.weights()));
    auto moments = named_destinations(step_.optimizer().first_moment(), "exp_avg.");
    for (auto& d : named_destinations(step_.optimizer().second_moment(), "exp_avg_sq."))
      moments.push_back(d);
    checkpoint::load_optimizer(found.path, moments);
    saved.model = state_.model;  // dropout may change from one part of a run to the next
    state_ = saved;
    saved_step_ = saved.step;
    log::info(fmt::format("resuming {} at step {}", directory_.root.string(), saved.step));
  }

  void describe() const {
    const MemoryPlan memory = plan_memory(plan_);
    log::info(
        fmt::format("{} layers, {} heads, width {}, context {}, vocabulary {}: {:.2f}M parameters",
                    plan_.model.layers, plan_.model.heads, plan_.model.width,
                    plan_.model.context_length, plan_.model.vocabulary_size,
                    static_cast<double>(model::parameter_count(plan_.model)) * 1e-6));
    log::info(fmt::format(
        "CPU, {} threads, 1 rank; {} of memory ({} of activations); {} training tokens, {} a step",
        plan_.threads, memory::readable_bytes(memory.total()),
        memory::readable_bytes(memory.activations), plan_.train->total_tokens(),
        config_.batch.sequences * plan_.micro_batch.length));
  }

  void take_step(data::TokenLoader& loader, metrics::ProgressLine& progress) {
    const data::TokenBatch& batch = loader.next(config_.batch.sequences);
    StepReport report;
    try {
      report = step_.run(batch, state_.sequences_consumed, state_.step);
    } catch (const DivergedError& e) {
      throw DivergedError(
          fmt::format("{}; the last checkpoint is {}. Continue from it with a lower "
                      "optimizer.learning_rate, or more schedule.warmup_steps",
                      e.what(), saved_step_ ? checkpoint_path(*saved_step_).string() : "none"));
    }
    ++state_.step;
    state_.sequences_consumed = loader.cursor();
    state_.tokens += report.tokens;
    last_loss_ = report.loss;
    metrics_->append(
        metrics::StepRow{.step = state_.step,
                         .loss = report.loss,
                         .gradient_norm = report.gradient_norm,
                         .learning_rate = report.learning_rate,
                         .tokens = state_.tokens,
                         .tokens_per_second = static_cast<double>(report.tokens) / report.seconds,
                         .time = metrics::now()});
    progress.update({.step = state_.step,
                     .loss = report.loss,
                     .learning_rate = report.learning_rate,
                     .gradient_norm = report.gradient_norm,
                     .tokens = report.tokens,
                     .seconds = report.seconds});
  }

  void validate() {
    const evaluation::LossSum sum = evaluation::evaluate_loss(
        step_.context(),
        {.config = plan_.model,
         .weights = step_.weights().views(),
         .activations = step_.activations(),
         .batch = plan_.micro_batch,
         .dataset = *plan_.validation,
         .windows = config_.validation.sequences,
         .on_progress = [](std::int64_t, std::int64_t) { return !stop_requested(); }});
    if (!sum.complete)
      return;  // the step is repeated by nobody, and its validation is worth less than the time
               // left
    validation_loss_ = sum.mean();
    validated_step_ = state_.step;
    metrics_->append(metrics::ValidationRow{.step = state_.step,
                                            .validation_loss = *validation_loss_,
                                            .tokens = state_.tokens,
                                            .validation_tokens = sum.targets,
                                            .time = metrics::now()});
    log::info(fmt::format("step {}: validation loss {:.4f} over {} tokens (perplexity {:.2f})",
                          state_.step, *validation_loss_, sum.targets,
                          std::exp(*validation_loss_)));
  }

  void sample() {
    std::vector<std::int32_t> prompt;
    if (tokenizer_) prompt = tokenizer_->encode(config_.samples.prompt);
    if (prompt.empty()) prompt.push_back(tokenizer_ ? tokenizer_->end_of_text() : 0);
    const auto samples = generation::generate(
        plan_.model, step_.weights().views(), prompt,
        {.sampling = {.seed = config_.run.seed}, .max_new_tokens = config_.samples.tokens},
        plan_.device, plan_.threads);
    std::string text;
    if (tokenizer_) {
      tokenizer::StreamDecoder decoder(*tokenizer_);
      for (const std::int32_t token : samples.front().tokens) text += decoder.push(token);
      text = config_.samples.prompt + text + decoder.finish();
    } else {
      for (const std::int32_t token : samples.front().tokens) text += fmt::format("{} ", token);
    }
    log::info(fmt::format("step {}, a sample:\n{}", state_.step, text));
    const Path path = directory_.samples() / fmt::format("step-{:08}.txt", state_.step);
    try {
      replace_file(path, text + "\n");
    } catch (const ResourceError& e) {
      log::warning(e.what());  // a sample is not worth a run
    }
  }

  void save() {
    if (validation_loss_ && validated_step_ == state_.step &&
        (!state_.best_validation_loss || *validation_loss_ < *state_.best_validation_loss)) {
      state_.best_validation_loss = validation_loss_;
      state_.best_step = state_.step;
    }
    checkpoint::CheckpointContent content;
    content.config = plan_.model;
    if (tokenizer_) content.end_of_text = tokenizer_->end_of_text();
    content.parameters = named_tensors(step_.weights());
    content.optimizer = named_tensors(step_.optimizer().first_moment(), "exp_avg.");
    for (auto& tensor : named_tensors(step_.optimizer().second_moment(), "exp_avg_sq.")) {
      content.optimizer.push_back(tensor);
    }
    content.state_json = to_json(state_);
    content.texts = {{"config.yaml", plan_.loaded.resolved_yaml},
                     {"environment.json", environment_json(plan_)}};
    content.metadata = {{"ranks", "1"}};
    if (tokenizer_) content.tokenizer = directory_.tokenizer();
    checkpoint::write_checkpoint(directory_.root, state_.step, content,
                                 {.keep_last = static_cast<int>(config_.checkpoint.keep_last),
                                  .best_step = state_.best_step});
    saved_step_ = state_.step;
    failed_saves_ = 0;
  }

  // A failed save must not end a run that still computes: the earlier checkpoints stand, and the
  // next may go through.
  void save_or_warn() {
    constexpr int kPatience = 3;
    try {
      save();
    } catch (const ResourceError& e) {
      if (++failed_saves_ >= kPatience || state_.step == config_.training.steps) throw;
      log::warning(
          fmt::format("checkpoint of step {} not written, training goes on ({} of {} in a row): {}",
                      state_.step, failed_saves_, kPatience, e.what()));
    }
  }

  ExitCode stop() {
    if (saved_step_ != state_.step) save();
    log::info(fmt::format("{}: saved step {} and stopped; the same command continues",
                          stop_signal_name(), state_.step));
    return ExitCode::kStoppedAndSaved;
  }

  const RunPlan& plan_;
  const config::RunConfig& config_;
  RunDirectory directory_;
  checkpoint::RunLock lock_;
  TrainingState state_;
  TrainingStep step_;
  std::optional<tokenizer::Tokenizer> tokenizer_;
  std::optional<metrics::MetricsLog> metrics_;
  std::optional<std::int64_t> saved_step_;
  std::optional<double> validation_loss_;
  std::int64_t validated_step_ = -1;
  double last_loss_ = 0;
  int failed_saves_ = 0;
};

}  // namespace

ExitCode train(RunPlan plan) {
  check_memory(plan_memory(plan));
  Trainer trainer(plan);
  trainer.begin();
  return trainer.loop();
}

}  // namespace ovid::training
