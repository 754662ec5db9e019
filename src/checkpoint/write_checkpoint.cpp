#include <fmt/format.h>

#include <map>
#include <stdexcept>

#include "src/checkpoint/checkpoint_names.h"
#include "src/checkpoint/commit_checkpoint.h"
#include "src/checkpoint/optimizer_parts.h"
#include "src/checkpoint/pending_checkpoint.h"
#include "src/checkpoint/retention.h"
#include "src/checkpoint/run_checkpoint.h"
#include "src/checkpoint/tokenizer_files.h"
#include "src/core/error.h"
#include "src/core/log.h"

namespace ovid::checkpoint {
namespace {

// A checkpoint with a tensor too few would only be noticed when it is needed.
void require_all_parameters(const model::ModelConfig& config,
                            const std::vector<NamedTensor>& parameters, const char* what) {
  std::map<std::string, const NamedTensor*> by_name;
  for (const NamedTensor& tensor : parameters) by_name[tensor.name] = &tensor;
  const std::vector<TensorSpecification> wanted = gpt2_tensors(config);
  for (const TensorSpecification& want : wanted) {
    const auto found = by_name.find(want.name);
    if (found == by_name.end() || found->second->view.shape() != want.shape) {
      throw std::logic_error(
          fmt::format("the checkpoint's {} lack '{}' {}", what, want.name, want.shape.text()));
    }
  }
  if (parameters.size() != wanted.size()) {
    throw std::logic_error(fmt::format("the checkpoint has {} {}, the model {}", parameters.size(),
                                       what, wanted.size()));
  }
}

void require_free_space(const Path& directory, std::int64_t step, const CheckpointContent& content,
                        const std::vector<TokenizerFile>& tokenizer) {
  constexpr std::uint64_t kSmallFiles =
      256 << 10;  // config, manifest, folder entries, rounding to blocks
  std::uint64_t needed = kSmallFiles + content.state_json.size();
  needed += safetensors_bytes(content.parameters, {}) + safetensors_bytes(content.optimizer, {});
  if (!content.average.empty()) needed += safetensors_bytes(content.average, {});
  const std::uint64_t model_folders = content.average.empty() ? 1 : 2;
  for (const TokenizerFile& file : tokenizer) needed += model_folders * size_of_file(file.source);
  for (const auto& [name, text] : content.texts) needed += text.size();
  const std::uint64_t available = free_bytes(directory);
  if (available < needed) {
    throw ResourceError(
        fmt::format("the checkpoint of step {} needs {} bytes, {} has {} free: free some space or "
                    "lower checkpoint.keep_last",
                    step, needed, directory.string(), available));
  }
}

// A Hugging Face model directory: `folder` is empty or ends with a slash.
void write_model(PendingCheckpoint& pending, const std::string& folder,
                 const CheckpointContent& content, const std::vector<NamedTensor>& parameters,
                 const std::vector<TokenizerFile>& tokenizer) {
  pending.add_tensors(folder + "model.safetensors", parameters);
  pending.add_text(folder + "config.json", model_config_json(content.config, content.end_of_text));
  for (const TokenizerFile& file : tokenizer) pending.add_copy(folder + file.name, file.source);
}

void write_files(PendingCheckpoint& pending, const CheckpointContent& content,
                 const std::vector<TokenizerFile>& tokenizer) {
  write_model(pending, "", content, content.parameters, tokenizer);
  if (!content.average.empty())
    write_model(pending, std::string(kAverageFolder) + "/", content, content.average, tokenizer);
  pending.add_tensors(kFirstOptimizerFile, content.optimizer);
  pending.add_text("state.json", content.state_json);
  for (const auto& [name, text] : content.texts) pending.add_text(name, text);
}

}  // namespace

void check_content(std::int64_t step, const CheckpointContent& content,
                   const Retention& retention) {
  if (step < 0) throw std::logic_error(fmt::format("a checkpoint of step {}", step));
  check_retention(retention);
  require_all_parameters(content.config, content.parameters, "parameters");
  if (!content.average.empty())
    require_all_parameters(content.config, content.average, "averaged parameters");
}

CommittedCheckpoint commit_checkpoint(const Path& run_directory, std::int64_t step,
                                      const CheckpointContent& content,
                                      const Retention& retention) {
  const std::vector<TokenizerFile> tokenizer =
      content.tokenizer ? find_tokenizer_files(*content.tokenizer) : std::vector<TokenizerFile>{};
  PendingCheckpoint pending(run_directory, step);
  require_free_space(checkpoints_directory(run_directory), step, content, tokenizer);
  write_files(pending, content, tokenizer);
  CommittedCheckpoint committed{pending.commit(content.metadata), {}};
  try {
    replace_file(checkpoints_directory(run_directory) / kLatestFile, step_name(step) + "\n");
    prune_checkpoints(run_directory, retention, {.written_step = step});
  } catch (const Error& error) {
    committed.warnings.push_back(
        fmt::format("{} is saved, but: {}", committed.path.string(), error.what()));
  }
  return committed;
}

Path write_checkpoint(const Path& run_directory, std::int64_t step,
                      const CheckpointContent& content, const Retention& retention) {
  check_content(step, content, retention);
  const CommittedCheckpoint committed = commit_checkpoint(run_directory, step, content, retention);
  for (const std::string& warning : committed.warnings) log::warning(warning);
  return committed.path;
}

}  // namespace ovid::checkpoint
