#pragma once

#include <optional>

#include "src/core/file.h"
#include "src/report/run_summary.h"

namespace ovid::report {

// Writes RUN/report.html: one page without scripts or outside resources, from the files of the run
// directory (metrics.jsonl, config.yaml, environment.json, samples/, checkpoints/). Every file but
// metrics.jsonl may be absent or damaged; what it would show is left out. Curves of any length
// become a bounded number of points that keep each stretch's least and greatest value. `status`
// is shown where given, else found as read_run does: a process that writes the report of
// its own run at its end knows better than its lock. Replaces the page at once. Throws
// ResourceError where it cannot be written.
void write_report(const Path& run_directory, std::optional<RunStatus> status = std::nullopt);

}  // namespace ovid::report
