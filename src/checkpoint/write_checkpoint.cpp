#include <fmt/format.h>

#include <algorithm>
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

bool is_part(const NamedTensor& tensor) {
  return tensor.name.find('@') != std::string::npos;
}

bool are_parts(const std::vector<NamedTensor>& tensors) {
  return !tensors.empty() && std::all_of(tensors.begin(), tensors.end(), is_part);
}

// Whole tensors are rank 0's to write; parts are looked at when they meet their places in the file.
void require_parameters(const CheckpointContent& content,
                        const std::vector<NamedTensor>& parameters, const char* what) {
  const bool together = content.ranks.count > 1;
  if (together && (are_parts(parameters) || (content.ranks.rank > 0 && parameters.empty()))) return;
  if (content.ranks.rank > 0)
    throw std::logic_error(fmt::format("rank {} has whole {}", content.ranks.rank, what));
  require_all_parameters(content.config, parameters, what);
}

// The tensors of a whole model, for their names and sizes.
std::vector<NamedTensor> whole_tensors(const model::ModelConfig& config) {
  std::vector<NamedTensor> tensors;
  for (const TensorSpecification& tensor : gpt2_tensors(config))
    tensors.push_back({tensor.name, {nullptr, kernels::DType::kFloat32, tensor.shape}});
  return tensors;
}

// Of the tensors' files, with all ranks' parts.
std::uint64_t tensor_bytes(const CheckpointContent& content) {
  if (content.ranks.count > 1) {
    const std::uint64_t set = safetensors_bytes(whole_tensors(content.config), {});
    const bool rounded = !content.optimizer.empty() &&
                         content.optimizer.front().view.dtype() == kernels::DType::kBfloat16;
    return (content.average.empty() ? 1 : 2) * set + (rounded ? set : 2 * set);
  }
  const std::uint64_t average =
      content.average.empty() ? 0 : safetensors_bytes(content.average, {});
  return safetensors_bytes(content.parameters, {}) + safetensors_bytes(content.optimizer, {}) +
         average;
}

void require_free_space(const Path& directory, std::int64_t step, const CheckpointContent& content,
                        const std::vector<TokenizerFile>& tokenizer) {
  constexpr std::uint64_t kSmallFiles =
      256 << 10;  // config, manifest, folder entries, rounding to blocks
  std::uint64_t needed = kSmallFiles + content.state_json.size() + tensor_bytes(content);
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

// `folder` is empty or ends with a slash.
void write_parameters(PendingCheckpoint& pending, const std::string& folder,
                      const CheckpointContent& content,
                      const std::vector<NamedTensor>& parameters) {
  const std::string file = folder + "model.safetensors";
  if (are_parts(parameters)) {
    pending.add_tensor_parts(file, whole_tensors(content.config), parameters);
  } else if (!parameters.empty()) {
    pending.add_tensors(file, parameters);
  }
}

void write_tensors(PendingCheckpoint& pending, const CheckpointContent& content) {
  write_parameters(pending, "", content, content.parameters);
  write_parameters(pending, std::string(kAverageFolder) + "/", content, content.average);
  pending.add_tensors(optimizer_file(content.ranks.rank), content.optimizer);
}

// What makes a folder with a model's tensors a Hugging Face model directory.
void write_model_files(PendingCheckpoint& pending, const std::string& folder,
                       const CheckpointContent& content,
                       const std::vector<TokenizerFile>& tokenizer) {
  pending.add_text(folder + "config.json", model_config_json(content.config, content.end_of_text));
  for (const TokenizerFile& file : tokenizer) pending.add_copy(folder + file.name, file.source);
}

void write_texts(PendingCheckpoint& pending, const CheckpointContent& content,
                 const std::vector<TokenizerFile>& tokenizer) {
  write_model_files(pending, "", content, tokenizer);
  if (!content.average.empty())
    write_model_files(pending, std::string(kAverageFolder) + "/", content, tokenizer);
  pending.add_text("state.json", content.state_json);
  for (const auto& [name, text] : content.texts) pending.add_text(name, text);
}

// The share of a rank other than 0: its files, its record, and what became of the whole.
CommittedCheckpoint add_to_checkpoint(const Path& run_directory, std::int64_t step,
                                      const CheckpointContent& content, const Hurry* hurry) {
  PendingCheckpoint pending(run_directory, step, content.ranks, hurry);
  try {
    write_tensors(pending, content);
    pending.leave_files();
  } catch (const std::exception& error) {
    pending.leave_failure(error.what());
    if (pending.was_dropped()) pending.await_commit(hurry);  // throws: that is why this failed
    throw;
  }
  return {pending.await_commit(hurry), {}};
}

}  // namespace

void check_content(std::int64_t step, const CheckpointContent& content,
                   const Retention& retention) {
  if (step < 0) throw std::logic_error(fmt::format("a checkpoint of step {}", step));
  check_retention(retention);
  require_parameters(content, content.parameters, "parameters");
  if (!content.average.empty()) require_parameters(content, content.average, "averaged parameters");
}

CommittedCheckpoint commit_checkpoint(const Path& run_directory, std::int64_t step,
                                      const CheckpointContent& content, const Retention& retention,
                                      const Hurry* hurry) {
  if (content.ranks.rank > 0) return add_to_checkpoint(run_directory, step, content, hurry);
  const std::vector<TokenizerFile> tokenizer =
      content.tokenizer ? find_tokenizer_files(*content.tokenizer) : std::vector<TokenizerFile>{};
  PendingCheckpoint pending(run_directory, step, content.ranks);
  require_free_space(checkpoints_directory(run_directory), step, content, tokenizer);
  write_tensors(pending, content);
  write_texts(pending, content, tokenizer);
  if (content.ranks.count > 1) pending.collect(hurry);
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
