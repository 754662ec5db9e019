#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "src/metrics/metrics_log.h"
#include "src/metrics/progress_line.h"
#include "src/metrics/tensorboard_writer.h"
#include "src/report/report.h"
#include "src/training/run_directory.h"
#include "src/training/training_state.h"
#include "src/training/training_step.h"

namespace ovid::training {

struct ValidationReport {
  double loss = 0;                     // of the weights
  std::optional<double> average_loss;  // of their average
  std::int64_t tokens = 0;
  // What early stopping and the choice of the best look at.
  double watched() const { return average_loss.value_or(loss); }
};

// Where everything that a run has to tell goes: metrics.jsonl, TensorBoard's events, the log, the
// progress line, report.html. None of them can stop a run.
class RunRecorder {
 public:
  RunRecorder(const RunPlan& plan, const RunDirectory& directory, const TrainingState& start);

  void step(const StepReport& report, const TrainingState& state);
  // Of runs of several ranks: stands in the rows of the steps that follow.
  void note_slowest_rank(int rank, double score);
  void validation(const ValidationReport& report, const TrainingState& state);
  void sample(const std::string& text, const TrainingState& state);
  // A line of the log and a row of the metrics. `name` is one word: "resumed", "skipped_update".
  void event(const TrainingState& state, const std::string& name, const std::string& message);
  void warning(const TrainingState& state, const std::string& name, const std::string& message);
  void write_report(report::RunStatus status = report::RunStatus::kRunning) const;
  void finish(metrics::SessionStatus status);  // nothing is told after it

 private:
  const RunPlan& plan_;
  RunDirectory directory_;
  metrics::MetricsLog metrics_;
  std::optional<metrics::TensorBoardWriter> tensorboard_;
  metrics::ProgressLine progress_;
  std::optional<double> newest_validation_;
  std::optional<int> slowest_rank_;
  std::optional<double> slowest_rank_score_;
  double sequences_of_an_epoch_ = 0;
};

}  // namespace ovid::training
