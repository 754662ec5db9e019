#include "src/report/run_summary.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <system_error>
#include <utility>

#include "src/checkpoint/checkpoint_names.h"
#include "src/core/error.h"
#include "src/report/flat_config.h"

namespace ovid::report {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMostConfigBytes = 1 << 20;

// The lock's file is empty where its holder ended in good order; else a shared lock that cannot be
// had says that the holder lives.
bool is_locked(const Path& directory) {
  const Path path = directory / "LOCK";
  std::error_code error;
  if (fs::file_size(path, error) == 0 || error) return false;
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return false;
  const bool locked = ::flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(descriptor);  // gives a shared lock back
  return locked;
}

std::uint64_t bytes_in(const Path& directory) {
  constexpr int kMostEntries = 100'000;
  std::error_code error;
  std::uint64_t bytes = 0;
  int entries = 0;
  fs::recursive_directory_iterator it(directory, fs::directory_options::skip_permission_denied,
                                      error);
  for (; !error && it != fs::recursive_directory_iterator() && entries < kMostEntries;
       it.increment(error), ++entries) {
    std::error_code ignored;
    if (!it->is_symlink(ignored) && it->is_regular_file(ignored)) {
      const std::uintmax_t size = it->file_size(ignored);
      if (!ignored) bytes += size;
    }
  }
  return bytes;
}

std::map<std::string, std::string> read_config(const Path& directory) {
  try {
    return flatten_config(read_file(directory / "config.yaml", kMostConfigBytes));
  } catch (const Error&) {
    return {};
  }
}

std::optional<std::int64_t> total_steps(const std::map<std::string, std::string>& config) {
  const auto found = config.find("training.steps");
  if (found == config.end()) return std::nullopt;
  std::int64_t steps = 0;
  const char* end = found->second.data() + found->second.size();
  const auto [stop, error] = std::from_chars(found->second.data(), end, steps);
  if (error != std::errc{} || stop != end || steps < 0) return std::nullopt;
  return steps;
}

std::vector<std::int64_t> checkpoint_steps(const Path& directory) {
  try {
    return checkpoint::list_steps(directory);
  } catch (const std::exception&) {
    return {};
  }
}

double last_write(const Path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return 0.0;
  return static_cast<double>(status.st_mtim.tv_sec) +
         static_cast<double>(status.st_mtim.tv_nsec) * 1e-9;
}

std::optional<double> median_speed(const std::vector<metrics::StepRow>& steps) {
  constexpr std::size_t kNewest = 100;
  std::vector<double> speeds;
  for (std::size_t i = steps.size() - std::min(steps.size(), kNewest); i < steps.size(); ++i) {
    if (std::isfinite(steps[i].tokens_per_second)) speeds.push_back(steps[i].tokens_per_second);
  }
  if (speeds.empty()) return std::nullopt;
  const auto middle = speeds.begin() + static_cast<std::ptrdiff_t>(speeds.size() / 2);
  std::nth_element(speeds.begin(), middle, speeds.end());
  return *middle;
}

void summarise_metrics(RunSummary& summary, const metrics::MetricsHistory& history) {
  if (!history.steps.empty()) {
    const metrics::StepRow& newest = history.steps.back();
    summary.step = newest.step;
    summary.tokens = newest.tokens;
    summary.loss = newest.loss;
    summary.tokens_per_second = median_speed(history.steps);
  }
  for (const metrics::ValidationRow& row : history.validations) {
    summary.validation_loss = row.validation_loss;
    if (!std::isfinite(row.validation_loss)) continue;
    if (!summary.best_validation_loss || row.validation_loss < *summary.best_validation_loss) {
      summary.best_validation_loss = row.validation_loss;
      summary.best_step = row.step;
    }
  }
}

RunStatus status_of(const RunSummary& summary, const metrics::MetricsHistory& history) {
  const bool stopped_early = !history.events.empty() && history.events.back().event == "early_stop";
  if (stopped_early || (summary.steps && summary.step > 0 && summary.step >= *summary.steps))
    return RunStatus::kDone;
  return is_locked(summary.directory) ? RunStatus::kRunning : RunStatus::kStopped;
}

}  // namespace

std::string_view to_string(RunStatus status) {
  switch (status) {
    case RunStatus::kDone:
      return "done";
    case RunStatus::kRunning:
      return "running";
    case RunStatus::kStopped:
      break;
  }
  return "stopped";
}

bool is_run_directory(const Path& directory) {
  std::error_code error;
  if (fs::is_regular_file(directory / "metrics.jsonl", error)) return true;
  return fs::is_regular_file(directory / "config.yaml", error) &&
         fs::is_directory(directory / "checkpoints", error);
}

Run read_run(const Path& directory) {
  if (!is_run_directory(directory)) {
    throw DataError(fmt::format(
        "{} is no run directory (it holds no metrics.jsonl): give one such as runs/demo; "
        "`ovid runs ls` lists those of a folder",
        directory.string()));
  }
  Run run;
  RunSummary& summary = run.summary;
  summary.directory = directory;
  const Path whole = fs::absolute(directory).lexically_normal();
  summary.name = (whole.has_filename() ? whole : whole.parent_path()).filename().string();
  const Path metrics_file = directory / "metrics.jsonl";
  std::error_code error;
  if (fs::exists(metrics_file, error)) run.history = metrics::read_metrics(metrics_file);
  summary.config = read_config(directory);
  summary.steps = total_steps(summary.config);
  summary.checkpoints = checkpoint_steps(directory);
  summary.last_change = last_write(metrics_file);
  summary.bytes = bytes_in(directory);
  summarise_metrics(summary, run.history);
  summary.status = status_of(summary, run.history);
  return run;
}

std::vector<Path> find_runs(const Path& directory) {
  std::error_code error;
  if (!fs::is_directory(directory, error)) {
    throw DataError(fmt::format(
        "{} is no folder: give the one that runs are in (run.directory of their configs)",
        directory.string()));
  }
  std::vector<Path> runs;
  if (is_run_directory(directory)) runs.push_back(directory);
  fs::directory_iterator it(directory, fs::directory_options::skip_permission_denied, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    if (is_run_directory(it->path())) runs.push_back(it->path());
  }
  std::sort(runs.begin(), runs.end());
  return runs;
}

}  // namespace ovid::report
