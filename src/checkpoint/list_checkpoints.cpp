#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "src/checkpoint/checkpoint_names.h"
#include "src/checkpoint/checkpoint_validity.h"
#include "src/checkpoint/folder_bytes.h"
#include "src/checkpoint/retention.h"
#include "src/core/error.h"

namespace ovid::checkpoint {
namespace {

std::optional<double> number_in(const nlohmann::json& row, const char* key) {
  const auto found = row.find(key);
  if (found == row.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

// Takes a row of metrics.jsonl to the checkpoint of its step. A later row of a step counts, as it
// does for every reader of the file.
void take_row(std::string_view line, std::vector<CheckpointSummary>& checkpoints) {
  constexpr std::size_t kLongestRow = 1 << 20;
  if (line.size() > kLongestRow) return;
  const nlohmann::json row = nlohmann::json::parse(line, nullptr, false);
  if (!row.is_object() || !row.contains("step") || !row["step"].is_number_integer()) return;
  const auto step = row["step"].get<std::int64_t>();
  const auto found =
      std::lower_bound(checkpoints.begin(), checkpoints.end(), step,
                       [](const CheckpointSummary& c, std::int64_t s) { return c.step < s; });
  if (found == checkpoints.end() || found->step != step) return;
  if (const auto loss = number_in(row, "loss")) found->loss = loss;
  if (const auto loss = number_in(row, "validation_loss")) found->validation_loss = loss;
}

void add_losses(const Path& metrics, std::vector<CheckpointSummary>& checkpoints) {
  if (!std::filesystem::exists(metrics)) return;
  try {
    // Read, not mapped: a run that starts now may cut a torn last line off.
    const std::string rows = read_file(metrics);
    std::string_view text = rows;
    while (!text.empty()) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      take_row(text.substr(0, end), checkpoints);
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  } catch (const Error&) {
    // Losses are an extra of the list; the checkpoints are listed without.
  }
}

}  // namespace

std::uint64_t folder_bytes(const Path& folder) {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (auto entry = std::filesystem::recursive_directory_iterator(folder, error);
       !error && entry != end(entry); entry.increment(error)) {
    std::error_code of_entry;
    if (entry->symlink_status(of_entry).type() != std::filesystem::file_type::regular) continue;
    const std::uintmax_t size = entry->file_size(of_entry);
    if (!of_entry) bytes += size;
  }
  return bytes;
}

std::vector<CheckpointSummary> list_checkpoints(const Path& run_directory) {
  const std::optional<std::int64_t> best = best_step_of(run_directory);
  std::vector<CheckpointSummary> checkpoints;
  for (const std::int64_t step : list_steps(run_directory)) {
    CheckpointSummary summary;
    summary.step = step;
    summary.path = checkpoints_directory(run_directory) / step_name(step);
    summary.bytes = folder_bytes(summary.path);
    summary.valid = checkpoint_problems(summary.path, step, HashCheck::kSizesOnly).empty();
    summary.pinned = is_pinned(run_directory, step);
    summary.best = best == step;
    checkpoints.push_back(std::move(summary));
  }
  add_losses(run_directory / "metrics.jsonl", checkpoints);
  return checkpoints;
}

}  // namespace ovid::checkpoint
