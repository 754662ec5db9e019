#include "src/training/run_recorder.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <map>

#include "kernels/cpu/machine_peak.h"
#include "src/config/schema.h"
#include "src/core/error.h"
#include "src/core/log.h"
#include "src/model/operation_count.h"

namespace ovid::training {
namespace {

metrics::ProgressOptions progress_options(const RunPlan& plan) {
  metrics::ProgressOptions options = metrics::standard_error_progress(plan.config().training.steps);
  // A GPU's peak would take a measurement of its own; the share of it is then not shown.
  if (plan.target().kind == kernels::DeviceKind::kCpu) {
    options.peak_flops_per_second = kernels::cpu::measure_peak_flops(plan.target().threads, 0.05);
  }
  return options;
}

// Every key with one plain value; lists are no hyperparameters to compare runs by.
std::map<std::string, metrics::HyperparameterValue> hyperparameters(const config::RunConfig& c) {
  std::map<std::string, metrics::HyperparameterValue> values;
  for (const config::Key& key : config::schema()) {
    const config::Value value = key.get(c);
    const std::string name(key.path);
    if (const auto* flag = std::get_if<bool>(&value)) values[name] = *flag;
    if (const auto* whole = std::get_if<std::int64_t>(&value))
      values[name] = static_cast<double>(*whole);
    if (const auto* number = std::get_if<double>(&value)) values[name] = *number;
    if (const auto* text = std::get_if<std::string>(&value)) values[name] = *text;
  }
  return values;
}

}  // namespace

RunRecorder::RunRecorder(const RunPlan& plan, const RunDirectory& directory,
                         const TrainingState& start)
    : plan_(plan),
      directory_(directory),
      metrics_(directory.metrics()),
      progress_(progress_options(plan)),
      sequences_of_an_epoch_(static_cast<double>(plan.train->sequences(plan.micro_batch.length))) {
  if (!plan.config().metrics.tensorboard) return;
  tensorboard_.emplace(directory.root, metrics::now(), start.step + 1);
  tensorboard_->hyperparameters(hyperparameters(plan.config()), plan.config().run.name,
                                metrics::now());
}

void RunRecorder::note_slowest_rank(int rank, double score) {
  slowest_rank_ = rank;
  slowest_rank_score_ = score;
}

void RunRecorder::step(const StepReport& report, const TrainingState& state) {
  const double tokens_per_second = static_cast<double>(report.tokens) / report.seconds;
  const double flops = model::training_operations(plan_.model, {.sequences = report.sequences,
                                                                .length = plan_.micro_batch.length})
                           .total();
  const double time = metrics::now();
  metrics_.append(metrics::StepRow{.step = state.step,
                                   .loss = report.loss,
                                   .gradient_norm = report.gradient_norm,
                                   .learning_rate = report.learning_rate,
                                   .tokens = state.tokens,
                                   .tokens_per_second = tokens_per_second,
                                   .time = time,
                                   .flops_per_second = flops / report.seconds,
                                   .slowest_rank = slowest_rank_,
                                   .slowest_rank_score = slowest_rank_score_});
  if (tensorboard_) {
    const std::array<metrics::TaggedScalar, 5> scalars{
        {{"loss/train", report.loss},
         {"gradient_norm", report.gradient_norm},
         {"learning_rate", report.learning_rate},
         {"speed/tokens_per_second", tokens_per_second},
         {"tokens", static_cast<double>(state.tokens)}}};
    tensorboard_->scalars(state.step, scalars, time);
  }
  progress_.update(
      {.step = state.step,
       .loss = report.loss,
       .learning_rate = report.learning_rate,
       .gradient_norm = report.gradient_norm,
       .tokens = report.tokens,
       .seconds = report.seconds,
       .flops = flops,
       .validation_loss = newest_validation_,
       .epoch = static_cast<double>(state.sequences_consumed) / sequences_of_an_epoch_});
}

void RunRecorder::validation(const ValidationReport& report, const TrainingState& state) {
  newest_validation_ = report.loss;
  const double time = metrics::now();
  metrics_.append(metrics::ValidationRow{.step = state.step,
                                         .validation_loss = report.loss,
                                         .tokens = state.tokens,
                                         .validation_tokens = report.tokens,
                                         .time = time,
                                         .average_validation_loss = report.average_loss});
  if (tensorboard_) {
    tensorboard_->scalar("loss/validation", state.step, report.loss, time);
    if (report.average_loss)
      tensorboard_->scalar("loss/validation_of_average", state.step, *report.average_loss, time);
  }
  log::info(fmt::format("step {}: validation loss {:.4f} over {} tokens (perplexity {:.2f}){}",
                        state.step, report.loss, report.tokens, std::exp(report.loss),
                        report.average_loss
                            ? fmt::format("; of the averaged weights {:.4f}", *report.average_loss)
                            : ""));
}

void RunRecorder::sample(const std::string& text, const TrainingState& state) {
  log::info(fmt::format("step {}, a sample:\n{}", state.step, text));
  if (tensorboard_) tensorboard_->text("sample", state.step, text, metrics::now());
  try {
    replace_file(directory_.samples() / fmt::format("step-{:08}.txt", state.step), text + "\n");
  } catch (const ResourceError& e) {
    log::warning(e.what());  // a sample is not worth a run
  }
}

void RunRecorder::event(const TrainingState& state, const std::string& name,
                        const std::string& message) {
  log::info(message);
  metrics_.append(metrics::EventRow{
      .step = state.step, .event = name, .message = message, .time = metrics::now()});
}

void RunRecorder::warning(const TrainingState& state, const std::string& name,
                          const std::string& message) {
  log::warning(message);
  metrics_.append(metrics::EventRow{
      .step = state.step, .event = name, .message = message, .time = metrics::now()});
}

void RunRecorder::write_report(report::RunStatus status) const {
  if (!plan_.config().metrics.report) return;
  try {
    report::write_report(directory_.root, status);
  } catch (const std::exception& e) {
    log::warning(fmt::format("report.html not written, training goes on: {}", e.what()));
  }
}

void RunRecorder::finish(metrics::SessionStatus status) {
  progress_.finish();
  if (tensorboard_) tensorboard_->finish(status, metrics::now());
  write_report(status == metrics::SessionStatus::kSuccess ? report::RunStatus::kDone
                                                          : report::RunStatus::kStopped);
}

}  // namespace ovid::training
