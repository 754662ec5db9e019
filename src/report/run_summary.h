#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/core/file.h"
#include "src/metrics/metrics_reader.h"

namespace ovid::report {

// kDone: all steps of the config are trained, or early stopping ended the run. kRunning: a process
// holds the run's lock. kStopped: neither; the same command continues it.
enum class RunStatus { kDone, kRunning, kStopped };

std::string_view to_string(RunStatus status);  // "done", "running", "stopped"

// A run as its directory tells it. Nothing here is trusted: files may be absent, torn or hostile.
struct RunSummary {
  Path directory;
  std::string name;  // the directory's
  RunStatus status = RunStatus::kStopped;
  std::int64_t step = 0;                  // of the newest row
  std::optional<std::int64_t> steps;      // training.steps of the config
  std::int64_t tokens = 0;                // trained on
  std::optional<double> loss;             // of the newest step
  std::optional<double> validation_loss;  // the newest
  std::optional<double> best_validation_loss;
  std::int64_t best_step = 0;                 // of best_validation_loss
  std::optional<double> tokens_per_second;    // median of the newest 100 steps
  double last_change = 0.0;                   // of metrics.jsonl, seconds since 1970-01-01 UTC
  std::uint64_t bytes = 0;                    // of all files in the directory
  std::vector<std::int64_t> checkpoints;      // steps, ascending
  std::map<std::string, std::string> config;  // dotted keys of config.yaml; empty: unreadable
};

// A run and its metrics.
struct Run {
  RunSummary summary;
  metrics::MetricsHistory history;
};

// Whether `directory` looks like a run: it holds metrics.jsonl, or config.yaml and checkpoints/.
bool is_run_directory(const Path& directory);

// Throws DataError where `directory` is no run directory, with what to give instead.
Run read_run(const Path& directory);

// The runs in `directory` and, where it is one itself, that run; by name. Throws DataError where
// `directory` is no folder.
std::vector<Path> find_runs(const Path& directory);

}  // namespace ovid::report
