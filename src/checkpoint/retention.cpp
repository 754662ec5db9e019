#include "src/checkpoint/retention.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "src/checkpoint/checkpoint_names.h"
#include "src/checkpoint/checkpoint_validity.h"
#include "src/checkpoint/folder_bytes.h"
#include "src/checkpoint/json_text.h"
#include "src/core/error.h"

namespace ovid::checkpoint {
namespace {

Path path_of(const Path& run_directory, std::int64_t step) {
  return checkpoints_directory(run_directory) / step_name(step);
}

bool looks_valid(const Path& run_directory, std::int64_t step) {
  return checkpoint_problems(path_of(run_directory, step), step, HashCheck::kSizesOnly).empty();
}

void remove_checkpoint(const Path& run_directory, std::int64_t step) {
  const Path trash = checkpoints_directory(run_directory) / unique_name(kTrashPrefix, step);
  // First out of the readers' sight in one piece, then file by file.
  rename_durably(path_of(run_directory, step), trash);
  std::error_code error;
  std::filesystem::remove_all(trash, error);
  if (error)
    throw ResourceError(fmt::format("cannot remove {}: {}", trash.string(), error.message()));
}

bool is_kept_by_rule(const Path& run_directory, std::int64_t step, const Retention& retention) {
  return step == 0 || step == retention.best_step ||
         (retention.keep_every > 0 && step % retention.keep_every == 0) ||
         is_pinned(run_directory, step);
}

// The steps to remove, ascending.
std::vector<std::int64_t> surplus_steps(const Path& run_directory,
                                        const std::vector<std::int64_t>& steps,
                                        const Retention& retention,
                                        std::optional<std::int64_t> written_step) {
  std::vector<std::int64_t> surplus;
  int kept = written_step ? 1 : 0;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    // What does not look valid does not count among those kept, and is not removed: it is for
    // find_newest_valid to name and set aside.
    if (*step == written_step || !looks_valid(run_directory, *step)) continue;
    if (kept < retention.keep_last) {
      ++kept;
    } else if (!is_kept_by_rule(run_directory, *step, retention)) {
      surplus.push_back(*step);
    }
  }
  std::reverse(surplus.begin(), surplus.end());
  return surplus;
}

// The run's checkpoints folder and the step of a path to one of them.
struct Place {
  Path run_directory;
  std::int64_t step;
};

Place place_of(const Path& checkpoint) {
  std::error_code error;
  const Path path = std::filesystem::canonical(checkpoint, error);
  const auto step = error ? std::nullopt : parse_step_name(path.filename().string());
  if (!step || path.parent_path().filename() != "checkpoints" ||
      !std::filesystem::is_directory(path)) {
    throw CheckpointError(
        fmt::format("{} is no checkpoint of a run: give one such as "
                    "runs/demo/checkpoints/step-00001000",
                    checkpoint.string()));
  }
  return {path.parent_path().parent_path(), *step};
}

}  // namespace

void pin(const Path& checkpoint) {
  const Place place = place_of(checkpoint);
  const Path directory = checkpoints_directory(place.run_directory);
  OutputFile file(directory / pin_name(place.step), WriteMode::kTruncate);
  file.sync();
  file.close();
  sync_directory(directory);
}

void unpin(const Path& checkpoint) {
  const Place place = place_of(checkpoint);
  const Path directory = checkpoints_directory(place.run_directory);
  std::error_code error;
  std::filesystem::remove(directory / pin_name(place.step), error);
  if (error) {
    throw ResourceError(fmt::format("cannot remove {}: {}",
                                    (directory / pin_name(place.step)).string(), error.message()));
  }
  sync_directory(directory);
}

bool is_pinned(const Path& run_directory, std::int64_t step) {
  std::error_code error;
  const auto status =
      std::filesystem::symlink_status(checkpoints_directory(run_directory) / pin_name(step), error);
  // Where it cannot be told, the checkpoint stays.
  return status.type() != std::filesystem::file_type::not_found;
}

std::optional<std::int64_t> best_step_of(const Path& run_directory) {
  const std::vector<std::int64_t> steps = list_steps(run_directory);
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    if (!looks_valid(run_directory, *step)) continue;
    try {
      const auto state =
          nlohmann::json::parse(read_json_file(path_of(run_directory, *step) / "state.json"));
      const auto best = state.find("best_step");
      if (best == state.end() || !best->is_number_integer()) return std::nullopt;
      return best->get<std::int64_t>();
    } catch (const nlohmann::json::exception&) {
      return std::nullopt;  // a state of other content: it names no best
    }
  }
  return std::nullopt;
}

void check_retention(const Retention& retention) {
  if (retention.keep_last < 1) {
    throw UsageError(fmt::format("keep_last = {} must be at least 1: the newest checkpoint stays",
                                 retention.keep_last));
  }
  if (retention.keep_every < 0) {
    throw UsageError(fmt::format("keep_every = {} must be at least 0 (0 keeps none for its number)",
                                 retention.keep_every));
  }
}

PruneReport prune_checkpoints(const Path& run_directory, const Retention& retention,
                              const PruneOptions& options) {
  check_retention(retention);
  const std::vector<std::int64_t> steps = list_steps(run_directory);
  PruneReport report;
  std::string failures;
  for (const std::int64_t step :
       surplus_steps(run_directory, steps, retention, options.written_step)) {
    const std::uint64_t bytes = folder_bytes(path_of(run_directory, step));
    try {
      if (!options.dry_run) remove_checkpoint(run_directory, step);
      report.removed.push_back(step);
      report.freed_bytes += bytes;
    } catch (const Error& error) {
      failures += fmt::format("{}{}", failures.empty() ? "" : "; ", error.what());
    }
  }
  std::set_difference(steps.begin(), steps.end(), report.removed.begin(), report.removed.end(),
                      std::back_inserter(report.kept));
  if (!failures.empty()) throw ResourceError(failures);
  return report;
}

}  // namespace ovid::checkpoint
