#include <fmt/format.h>

#include "src/checkpoint/adapter_files.h"
#include "src/checkpoint/checkpoint_names.h"
#include "src/checkpoint/json_text.h"
#include "src/checkpoint/manifest.h"
#include "src/checkpoint/optimizer_parts.h"
#include "src/checkpoint/parameter_matching.h"
#include "src/checkpoint/run_checkpoint.h"
#include "src/core/error.h"

namespace ovid::checkpoint {
namespace {

// Runs one check and keeps what it throws as a sentence.
template <class Check>
void collect(std::vector<std::string>& problems, Check check) {
  try {
    check();
  } catch (const Error& error) {
    problems.push_back(error.what());
  }
}

// All moments are float32, or all are bfloat16: `type`, which the first one sets.
void check_optimizer_types(const SafetensorsFile& file, std::string& type,
                           std::vector<std::string>& problems) {
  for (const std::string& name : file.names()) {
    const std::string_view own = file.tensor(name).dtype;
    if (type.empty() && (own == "F32" || own == "BF16")) type = own;
    if (own == type) continue;
    problems.push_back(fmt::format("{}: '{}' is {}, wanted is {}", file.path().filename().string(),
                                   name, own, type.empty() ? "F32 or BF16" : type));
    return;
  }
}

void check_manifest(const Path& directory, std::vector<std::string>& problems) {
  const Manifest manifest = read_manifest(directory);
  const auto named_step =
      parse_step_name(std::filesystem::weakly_canonical(directory).filename().string());
  if (named_step && *named_step != manifest.step) {
    problems.push_back(fmt::format("the manifest is of step {}, the folder's name says {}",
                                   manifest.step, *named_step));
  }
  for (std::string& problem : compare_files(directory, manifest, HashCheck::kAllBytes)) {
    problems.push_back(std::move(problem));
  }
  std::string type;  // of all moments
  for (const Path& path : optimizer_files(directory)) {
    collect(problems, [&] { check_optimizer_types(SafetensorsFile(path), type, problems); });
  }
}

void check_model(const Path& directory, std::vector<std::string>& problems) {
  const model::ModelConfig config = read_model_config(directory);
  const ModelTensors tensors(directory);
  for (std::string& problem : match_parameters(tensors, gpt2_tensors(config)).problems) {
    problems.push_back(std::move(problem));
  }
}

// The average is a model of the same shape as the weights beside it.
void check_average(const Path& directory, std::vector<std::string>& problems) {
  const Path average = directory / kAverageFolder;
  std::vector<std::string> of_average;
  collect(of_average, [&] { check_model(average, of_average); });
  for (const std::string& problem : of_average)
    problems.push_back(fmt::format("{}: {}", kAverageFolder, problem));
  if (of_average.empty() && read_model_config(average) != read_model_config(directory)) {
    problems.push_back(
        fmt::format("{}/config.json describes another model than config.json", kAverageFolder));
  }
}

}  // namespace

std::vector<std::string> verify(const Path& directory) {
  if (!std::filesystem::is_directory(directory)) {
    throw CheckpointError(fmt::format("{} is no directory", directory.string()));
  }
  std::vector<std::string> problems;
  // A checkpoint of a run without its manifest is damaged; a model directory of another program
  // never had one.
  const bool has_state = std::filesystem::exists(directory / "state.json");
  if (std::filesystem::exists(directory / kManifestFile) || has_state) {
    collect(problems, [&] { check_manifest(directory, problems); });
  }
  collect(problems, [&] { check_model(directory, problems); });
  if (const auto adapter = find_adapter(directory))
    collect(problems, [&] { read_adapter_config(*adapter, read_model_config(directory)); });
  if (has_average(directory)) collect(problems, [&] { check_average(directory, problems); });
  return problems;
}

}  // namespace ovid::checkpoint
