#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "src/checkpoint/retention.h"
#include "src/checkpoint/run_checkpoint.h"
#include "src/checkpoint/run_lock.h"
#include "src/cli/commands.h"
#include "src/cli/standard_output.h"
#include "src/memory/arena.h"

namespace ovid::cli {
namespace {

void check_directory(const std::string& directory) {
  if (!std::filesystem::is_directory(directory)) {
    throw CheckpointError(
        fmt::format("{} is not a folder: give a checkpoint or model directory, such as "
                    "runs/demo/checkpoints/step-00001000",
                    directory));
  }
}

void check_run(const std::string& directory) {
  if (!std::filesystem::is_directory(Path(directory) / "checkpoints")) {
    throw CheckpointError(fmt::format(
        "{} is no run with checkpoints: give a run's folder, such as runs/demo", directory));
  }
}

nlohmann::ordered_json or_null(const std::optional<double>& number) {
  return number ? nlohmann::ordered_json(*number) : nlohmann::ordered_json();
}

std::string or_dash(const std::optional<double>& number) {
  return number ? fmt::format("{:.4f}", *number) : "-";
}

nlohmann::ordered_json to_json(const checkpoint::CheckpointSummary& summary) {
  return {{"step", summary.step},          {"path", summary.path.string()},
          {"bytes", summary.bytes},        {"valid", summary.valid},
          {"pinned", summary.pinned},      {"best", summary.best},
          {"loss", or_null(summary.loss)}, {"validation_loss", or_null(summary.validation_loss)}};
}

std::string marks_of(const checkpoint::CheckpointSummary& summary) {
  std::string marks;
  const auto add = [&](bool set, const char* mark) {
    if (set) marks += fmt::format("{}{}", marks.empty() ? "" : " ", mark);
  };
  add(!summary.valid, "damaged");
  add(summary.best, "best");
  add(summary.pinned, "pinned");
  return marks;
}

}  // namespace

ExitCode run_checkpoint_verify(const CheckpointOptions& options) {
  check_directory(options.directory);
  const std::vector<std::string> problems = checkpoint::verify(options.directory);
  if (options.json) {
    print_line(nlohmann::ordered_json{
        {"path", options.directory}, {"valid", problems.empty()}, {"problems", problems}}
                   .dump());
  } else {
    for (const std::string& problem : problems) print_line(problem);
    print_line(problems.empty()
                   ? options.directory + ": all right"
                   : fmt::format("{}: {} problems", options.directory, problems.size()));
  }
  return problems.empty() ? ExitCode::kDone : ExitCode::kNoCheckpoint;
}

ExitCode run_checkpoint_inspect(const CheckpointOptions& options) {
  check_directory(options.directory);
  print_line(options.json ? checkpoint::inspect_json(options.directory)
                          : checkpoint::inspect_text(options.directory));
  return ExitCode::kDone;
}

ExitCode run_checkpoint_list(const CheckpointOptions& options) {
  check_run(options.directory);
  const auto summaries = checkpoint::list_checkpoints(options.directory);
  if (options.json) {
    for (const auto& summary : summaries) print_line(to_json(summary).dump());
    return ExitCode::kDone;
  }
  print_line(fmt::format("{:>10} {:>12} {:>10} {:>10}  {}", "step", "size", "loss", "validation",
                         "marks"));
  for (const auto& summary : summaries) {
    std::string line = fmt::format("{:>10} {:>12} {:>10} {:>10}  {}", summary.step,
                                   memory::readable_bytes(summary.bytes), or_dash(summary.loss),
                                   or_dash(summary.validation_loss), marks_of(summary));
    line.resize(line.find_last_not_of(' ') + 1);
    print_line(line);
  }
  return ExitCode::kDone;
}

ExitCode run_checkpoint_prune(const CheckpointPruneOptions& options) {
  check_run(options.run);
  // Held until the end: a run that trains prunes for itself. A dry run may look on.
  std::optional<checkpoint::RunLock> lock;
  if (!options.dry_run) lock.emplace(options.run);
  const checkpoint::PruneReport report =
      checkpoint::prune_checkpoints(options.run,
                                    {.keep_last = options.keep_last,
                                     .best_step = checkpoint::best_step_of(options.run),
                                     .keep_every = options.keep_every},
                                    {.dry_run = options.dry_run});
  if (options.json) {
    print_line(nlohmann::ordered_json{{"removed", report.removed},
                                      {"kept", report.kept},
                                      {"freed_bytes", report.freed_bytes},
                                      {"dry_run", options.dry_run}}
                   .dump());
    return ExitCode::kDone;
  }
  for (const std::int64_t step : report.removed)
    print_line(fmt::format("{} step {}", options.dry_run ? "would remove" : "removed", step));
  print_line(fmt::format("{} {} checkpoints ({}), {} stay",
                         options.dry_run ? "would remove" : "removed", report.removed.size(),
                         memory::readable_bytes(report.freed_bytes), report.kept.size()));
  return ExitCode::kDone;
}

ExitCode run_checkpoint_pin(const CheckpointOptions& options) {
  checkpoint::pin(options.directory);
  print_line(options.directory + ": pinned, pruning leaves it");
  return ExitCode::kDone;
}

ExitCode run_checkpoint_unpin(const CheckpointOptions& options) {
  checkpoint::unpin(options.directory);
  print_line(options.directory + ": no longer pinned");
  return ExitCode::kDone;
}

}  // namespace ovid::cli
