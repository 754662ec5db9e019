#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "src/core/file.h"

namespace ovid::metrics {

// One optimizer step. Losses are nats per token.
struct StepRow {
  std::int64_t step = 0;
  double loss = 0.0;           // mean over the global batch, before the update
  double gradient_norm = 0.0;  // before clipping
  double learning_rate = 0.0;
  std::int64_t tokens = 0;  // trained on since the start of the run
  double tokens_per_second = 0.0;
  double time = 0.0;                                      // seconds since 1970-01-01 UTC
  std::optional<double> flops_per_second = std::nullopt;  // achieved; no key where absent
  // Of runs of several ranks: which one the others wait for, and the fastest one's time over its.
  std::optional<int> slowest_rank = std::nullopt;
  std::optional<double> slowest_rank_score = std::nullopt;
};

struct ValidationRow {
  std::int64_t step = 0;
  double validation_loss = 0.0;
  std::int64_t tokens = 0;             // trained on since the start of the run
  std::int64_t validation_tokens = 0;  // over which the loss is the mean
  double time = 0.0;
  std::optional<double> average_validation_loss = std::nullopt;  // of averaged weights; else no key
};

// What the log names beside the curves: "resumed", "checkpoint", "skipped_update", "early_stop",
// "failed_save", "stopped", "diverged", ... Rows of this kind repeat no step's row.
struct EventRow {
  std::int64_t step = 0;
  std::string event;    // one word, of lower-case letters and underscores
  std::string message;  // for people; any bytes: invalid UTF-8 becomes U+FFFD
  double time = 0.0;
};

// One line of JSON with the fields' names as keys, without the line's end. Numbers are the shortest
// that read back to the same double, with a point in every locale; what is not finite becomes the
// string "nan", "inf" or "-inf", because JSON has no such numbers and null would not tell a
// divergence from a missing value.
std::string to_json(const StepRow& row);
std::string to_json(const ValidationRow& row);
std::string to_json(const EventRow& row);

// Seconds since 1970-01-01 UTC, for the rows' `time`.
double now();

// Appends rows to metrics.jsonl; each row is in the file (not yet on the disk) when append returns.
// A last line that a crash tore is cut off first. A row that cannot be written (a full disk) never
// stops the training: it is dropped whole, counted, and warned about once, then again when rows go
// through after it. One writer a file; not thread-safe.
class MetricsLog {
 public:
  // Throws ResourceError where the file cannot be opened.
  explicit MetricsLog(const Path& path);
  ~MetricsLog();
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;

  void append(const StepRow& row);
  void append(const ValidationRow& row);
  void append(const EventRow& row);
  void append_line(const std::string& json);  // a JSON object without line ends
  std::int64_t dropped_rows() const { return dropped_rows_; }

 private:
  Path path_;
  int descriptor_ = -1;
  std::int64_t dropped_rows_ = 0;
  bool failing_ = false;
  bool torn_ = false;  // a failed write left part of a row that could not be cut off
};

}  // namespace ovid::metrics
