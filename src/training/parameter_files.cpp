#include "src/training/parameter_files.h"

#include <utility>

namespace ovid::training {

std::vector<checkpoint::NamedTensor> named_tensors(const model::ParameterSet& parameters,
                                                   const std::string& prefix) {
  std::vector<checkpoint::NamedTensor> all;
  for (const auto& tensor : parameters.tensors())
    all.push_back({prefix + tensor.description.name, tensor.view, parameters.device()});
  return all;
}

std::vector<checkpoint::NamedDestination> named_destinations(const model::ParameterSet& parameters,
                                                             const std::string& prefix) {
  std::vector<checkpoint::NamedDestination> all;
  for (const auto& tensor : parameters.tensors())
    all.push_back({prefix + tensor.description.name, tensor.view, parameters.device()});
  return all;
}

LoadedModel load_model(const Path& directory, const memory::ComputeTarget& target) {
  const model::ModelConfig config = checkpoint::read_model_config(directory);
  model::check_model_config(config);
  checkpoint::check_parameters(directory, config);
  LoadedModel loaded{config, model::ParameterSet(config, "weights",
                                                 {.dtype = target.dtype, .device = target.device})};
  if (target.dtype == kernels::DType::kFloat32) {
    checkpoint::read_parameters(directory, named_destinations(loaded.weights));
    return loaded;
  }
  const model::ParameterSet exact(config, "weights before they are rounded");
  checkpoint::read_parameters(directory, named_destinations(exact));
  model::upload_parameters(exact, loaded.weights, target.threads);
  return loaded;
}

std::optional<Path> find_tokenizer(const Path& directory) {
  const auto holds = [&](const char* name) { return std::filesystem::exists(directory / name); };
  if ((holds("vocab.json") && holds("merges.txt")) || (holds("encoder.json") && holds("vocab.bpe")))
    return directory;
  return std::nullopt;
}

}  // namespace ovid::training
