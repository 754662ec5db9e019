#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "src/core/file.h"
#include "src/metrics/metrics_log.h"

namespace ovid::metrics {

// What metrics.jsonl says of a run. A number that a row lacks, or that is no number, is NaN; a
// count is 0.
struct MetricsHistory {
  std::vector<StepRow> steps;              // ascending in step, each step once
  std::vector<ValidationRow> validations;  // the same
  std::vector<EventRow> events;            // in the order of the file, the newest only
  std::int64_t stride = 1;         // of steps: only its multiples, and the newest step, are here
  std::int64_t all_events = 0;     // with those left out
  std::int64_t ignored_lines = 0;  // no JSON object, or of none of these kinds, or too long
};

struct ReadLimits {
  std::size_t rows = std::size_t{1} << 20;  // of each kind
  std::size_t events = 10'000;
  std::size_t line_bytes = std::size_t{1} << 20;
};

// Reads a file of any size in one pass, in memory bounded by `limits`: where a run has more rows
// than that, only steps that are multiples of a power of two stay. A row whose step is not above
// that of the row before it begins a continuation (a resume after a crash): it replaces the rows of
// its kind from its step on, so that for each step the last row counts. A torn last line is
// ignored. Throws DataError or ResourceError where the file cannot be read.
MetricsHistory read_metrics(const Path& path, const ReadLimits& limits = {});

}  // namespace ovid::metrics
