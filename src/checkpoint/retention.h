#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/checkpoint/run_checkpoint.h"
#include "src/core/file.h"

// Which checkpoints of a run stay.
namespace ovid::checkpoint {

// A pinned checkpoint is never pruned. The mark is an empty file step-NNNNNNNN.pinned beside it, so
// that its manifest stays true. `checkpoint` is RUN/checkpoints/step-NNNNNNNN. Throws
// CheckpointError where it is no checkpoint of a run, ResourceError where the mark cannot be set.
void pin(const Path& checkpoint);
void unpin(const Path& checkpoint);
bool is_pinned(const Path& run_directory, std::int64_t step);

struct CheckpointSummary {
  std::int64_t step = 0;
  Path path;
  std::uint64_t bytes = 0;  // of the files in its manifest, or of those found where it has none
  bool valid = false;       // manifest and sizes are right; hashes are not read
  bool pinned = false;
  bool best = false;                      // the newest valid state.json names it as the best
  std::optional<double> loss;             // of the training step that led to it
  std::optional<double> validation_loss;  // where the run was validated at this step
};

// The checkpoints of a run, by ascending step; losses are those of RUN/metrics.jsonl. Throws
// ResourceError where the folder cannot be listed.
std::vector<CheckpointSummary> list_checkpoints(const Path& run_directory);

// The step that the newest valid checkpoint's state.json has as "best_step".
std::optional<std::int64_t> best_step_of(const Path& run_directory);

// Throws UsageError with the key and the cure where keep_last or keep_every is out of range.
void check_retention(const Retention& retention);

struct PruneOptions {
  bool dry_run = false;
  std::optional<std::int64_t> written_step =
      std::nullopt;  // just committed: stays, whatever its age
};

struct PruneReport {
  std::vector<std::int64_t> removed;  // ascending; with dry_run: those that would be
  std::vector<std::int64_t> kept;
  std::uint64_t freed_bytes = 0;
};

// Removes the checkpoints that `retention` does not keep, each by renaming it to .trash-* first.
// The newest valid one, step 0, the best, pinned ones, and those whose manifest or sizes are wrong
// (they are for find_newest_valid to name) always stay. Call it holding the run's lock. Throws
// UsageError for the retention; ResourceError for those that could not be removed, after it tried
// all.
PruneReport prune_checkpoints(const Path& run_directory, const Retention& retention,
                              const PruneOptions& options = {});

}  // namespace ovid::checkpoint
