#include <fmt/format.h>

#include <algorithm>

#include "src/checkpoint/checkpoint_names.h"
#include "src/checkpoint/checkpoint_validity.h"
#include "src/checkpoint/run_checkpoint.h"
#include "src/core/error.h"
#include "src/core/log.h"

namespace ovid::checkpoint {
namespace {

// Renames a damaged checkpoint out of the way. Where that fails (a read-only disk) the search goes
// on all the same.
void quarantine(const Path& run_directory, std::int64_t step,
                const std::vector<std::string>& problems) {
  const Path directory = checkpoints_directory(run_directory);
  const Path from = directory / step_name(step);
  Path to = directory / (kDamagedPrefix + step_name(step));
  if (std::filesystem::exists(to)) to = directory / unique_name(kDamagedPrefix, step);
  const std::string reason =
      fmt::format("{} is damaged: {}", from.string(), fmt::join(problems, "; "));
  try {
    rename_durably(from, to);
    log::warning(fmt::format("{}; it is now {}, an earlier checkpoint is used", reason,
                             to.filename().string()));
  } catch (const Error& error) {
    log::warning(fmt::format("{}; an earlier checkpoint is used; setting it aside failed: {}",
                             reason, error.what()));
  }
}

bool begins_with(const std::string& text, const char* prefix) {
  return text.rfind(prefix, 0) == 0;
}

// The mark of a pinned checkpoint that is no longer there, under this or its quarantined name.
bool is_orphaned_pin(const Path& path) {
  if (path.extension() != kPinExtension) return false;
  const std::string name = path.stem().string();
  return parse_step_name(name) && !std::filesystem::exists(path.parent_path() / name) &&
         !std::filesystem::exists(path.parent_path() / (kDamagedPrefix + name));
}

// A checkpoint that was set aside for its successor, which a crash then prevented.
void restore_or_remove(const Path& replaced) {
  // ".old-step-00000007-0123456789abcdef"
  std::string name = replaced.filename().string().substr(std::string_view(kReplacedPrefix).size());
  name.resize(std::min(name.rfind('-'), name.size()));
  const Path original = replaced.parent_path() / name;
  if (parse_step_name(name) && !std::filesystem::exists(original)) {
    rename_durably(replaced, original);
    log::warning(fmt::format("{} is back: a crash interrupted its replacement", original.string()));
  } else {
    std::filesystem::remove_all(replaced);
  }
}

}  // namespace

void clean_up_unfinished(const Path& run_directory) {
  const Path directory = checkpoints_directory(run_directory);
  if (!std::filesystem::exists(directory)) return;
  std::vector<Path> leftovers;
  try {
    for (const auto& entry : std::filesystem::directory_iterator(directory))
      leftovers.push_back(entry.path());
    for (const Path& path : leftovers) {
      const std::string name = path.filename().string();
      if (begins_with(name, kReplacedPrefix)) {
        restore_or_remove(path);
      } else if (begins_with(name, kTemporaryPrefix) || begins_with(name, kTrashPrefix) ||
                 begins_with(name, "latest.tmp-")) {
        std::filesystem::remove_all(path);
        log::info(fmt::format("removed {}, left by a save that was interrupted", path.string()));
      }
    }
    // After the checkpoints that were set aside are back.
    for (const Path& path : leftovers) {
      if (is_orphaned_pin(path)) std::filesystem::remove(path);
    }
  } catch (const std::filesystem::filesystem_error& error) {
    throw ResourceError(fmt::format("cannot clean up {}: {}", directory.string(), error.what()));
  }
}

std::optional<FoundCheckpoint> find_newest_valid(const Path& run_directory, HashCheck check) {
  std::vector<std::int64_t> steps = list_steps(run_directory);
  std::reverse(steps.begin(), steps.end());
  for (const std::int64_t step : steps) {
    const Path path = checkpoints_directory(run_directory) / step_name(step);
    const std::vector<std::string> problems = checkpoint_problems(path, step, check);
    if (problems.empty()) return FoundCheckpoint{path, step, read_state(path)};
    quarantine(run_directory, step, problems);
  }
  return std::nullopt;
}

std::string read_state(const Path& checkpoint) {
  try {
    return read_file(checkpoint / "state.json");
  } catch (const DataError& error) {
    throw CheckpointError(error.what());
  }
}

}  // namespace ovid::checkpoint
