#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <stdexcept>

#include "src/checkpoint/checkpoint_names.h"
#include "src/checkpoint/optimizer_parts.h"
#include "src/checkpoint/pending_checkpoint.h"
#include "src/checkpoint/run_checkpoint.h"
#include "src/checkpoint/tokenizer_files.h"
#include "src/core/error.h"
#include "src/core/log.h"

namespace ovid::checkpoint {
namespace {

// A checkpoint with a tensor too few would only be noticed when it is needed.
void require_all_parameters(const CheckpointContent& content) {
  std::map<std::string, const NamedTensor*> by_name;
  for (const NamedTensor& tensor : content.parameters) by_name[tensor.name] = &tensor;
  const std::vector<TensorSpecification> wanted = gpt2_tensors(content.config);
  for (const TensorSpecification& want : wanted) {
    const auto found = by_name.find(want.name);
    if (found == by_name.end() || found->second->view.shape() != want.shape) {
      throw std::logic_error(
          fmt::format("the checkpoint's parameters lack '{}' {}", want.name, want.shape.text()));
    }
  }
  if (content.parameters.size() != wanted.size()) {
    throw std::logic_error(fmt::format("the checkpoint has {} parameters, the model {}",
                                       content.parameters.size(), wanted.size()));
  }
}

void require_free_space(const Path& directory, std::int64_t step, const CheckpointContent& content,
                        const std::vector<TokenizerFile>& tokenizer) {
  constexpr std::uint64_t kSmallFiles =
      256 << 10;  // config, manifest, folder entries, rounding to blocks
  std::uint64_t needed = kSmallFiles + content.state_json.size();
  needed += safetensors_bytes(content.parameters, {}) + safetensors_bytes(content.optimizer, {});
  for (const TokenizerFile& file : tokenizer) needed += size_of_file(file.source);
  for (const auto& [name, text] : content.texts) needed += text.size();
  const std::uint64_t available = free_bytes(directory);
  if (available < needed) {
    throw ResourceError(
        fmt::format("the checkpoint of step {} needs {} bytes, {} has {} free: free some space or "
                    "lower checkpoint.keep_last",
                    step, needed, directory.string(), available));
  }
}

void write_files(PendingCheckpoint& pending, const CheckpointContent& content,
                 const std::vector<TokenizerFile>& tokenizer) {
  pending.add_tensors("model.safetensors", content.parameters);
  pending.add_tensors(kFirstOptimizerFile, content.optimizer);
  pending.add_text("config.json", model_config_json(content.config, content.end_of_text));
  pending.add_text("state.json", content.state_json);
  for (const TokenizerFile& file : tokenizer) pending.add_copy(file.name, file.source);
  for (const auto& [name, text] : content.texts) pending.add_text(name, text);
}

void remove_checkpoint(const Path& run_directory, std::int64_t step) {
  const Path directory = checkpoints_directory(run_directory);
  const Path trash = directory / unique_name(kTrashPrefix, step);
  // First out of the readers' sight in one piece, then file by file.
  rename_durably(directory / step_name(step), trash);
  std::error_code error;
  std::filesystem::remove_all(trash, error);
  if (error)
    throw ResourceError(fmt::format("cannot remove {}: {}", trash.string(), error.message()));
}

// Whether a checkpoint would be found valid by its sizes: a damaged one does not count among those
// kept.
bool looks_valid(const Path& checkpoint) {
  try {
    return compare_files(checkpoint, read_manifest(checkpoint), HashCheck::kSizesOnly).empty();
  } catch (const Error&) {
    return false;
  }
}

// Keeps step 0, the best, the one just written and the newest `keep_last` that look valid. Those
// that do not look valid are left for find_newest_valid to name and quarantine.
void prune(const Path& run_directory, std::int64_t written_step, const Retention& retention) {
  std::vector<std::int64_t> steps = list_steps(run_directory);
  std::reverse(steps.begin(), steps.end());
  int kept = 1;  // the one just written
  for (const std::int64_t step : steps) {
    if (step == written_step ||
        !looks_valid(checkpoints_directory(run_directory) / step_name(step)))
      continue;
    if (kept < retention.keep_last) {
      ++kept;
    } else if (step != 0 && step != retention.best_step) {
      remove_checkpoint(run_directory, step);
    }
  }
}

}  // namespace

Path write_checkpoint(const Path& run_directory, std::int64_t step,
                      const CheckpointContent& content, const Retention& retention) {
  if (step < 0) throw std::logic_error(fmt::format("a checkpoint of step {}", step));
  if (retention.keep_last < 1) {
    throw UsageError(
        fmt::format("checkpoint.keep_last = {} must be at least 1", retention.keep_last));
  }
  require_all_parameters(content);
  const std::vector<TokenizerFile> tokenizer =
      content.tokenizer ? find_tokenizer_files(*content.tokenizer) : std::vector<TokenizerFile>{};

  PendingCheckpoint pending(run_directory, step);
  require_free_space(checkpoints_directory(run_directory), step, content, tokenizer);
  write_files(pending, content, tokenizer);
  const Path path = pending.commit(content.metadata);
  try {
    replace_file(checkpoints_directory(run_directory) / kLatestFile, step_name(step) + "\n");
    prune(run_directory, step, retention);
  } catch (const Error& error) {
    log::warning(fmt::format("{} is saved, but: {}", path.string(), error.what()));
  }
  return path;
}

}  // namespace ovid::checkpoint
