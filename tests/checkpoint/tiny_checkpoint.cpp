#include "tests/checkpoint/tiny_checkpoint.h"

#include <fmt/format.h>

#include <algorithm>

namespace ovid::checkpoint {
namespace {

// Halves of whole numbers: exact in float32, so that equality means equal bits.
std::vector<float> values_for(std::size_t count, std::int64_t step, int generation,
                              std::size_t tensor) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] =
        0.5f * static_cast<float>((i * 7 + tensor * 31 + static_cast<std::size_t>(step) * 101 +
                                   static_cast<std::size_t>(generation) * 1009) %
                                  4093);
  }
  return values;
}

std::string state_of(std::int64_t step, int generation) {
  return fmt::format("{{\"step\": {}, \"generation\": {}}}", step, generation);
}

}  // namespace

model::ModelConfig tiny_config(bool tied_head) {
  model::ModelConfig config;
  config.layers = 1;
  config.heads = 2;
  config.width = 4;
  config.context_length = 5;
  config.vocabulary_size = 7;
  config.tied_head = tied_head;
  return config;
}

TinyCheckpoint::TinyCheckpoint(std::int64_t step, int generation, bool tied_head) {
  content_.config = tiny_config(tied_head);
  content_.state_json = state_of(step, generation);
  content_.metadata = {{"build", "test"}};
  std::size_t index = 0;
  for (const TensorSpecification& tensor : gpt2_tensors(content_.config)) {
    const auto count = static_cast<std::size_t>(tensor.shape.elements());
    auto& parameter = parameters_[tensor.name] = values_for(count, step, generation, index++);
    content_.parameters.push_back(
        {tensor.name, {parameter.data(), kernels::DType::kFloat32, tensor.shape}});
    const std::string moment = "exp_avg." + tensor.name;
    auto& state = optimizer_[moment] = values_for(count, step, generation, index++);
    content_.optimizer.push_back({moment, {state.data(), kernels::DType::kFloat32, tensor.shape}});
  }
}

Buffers::Buffers(const std::vector<TensorSpecification>& tensors) {
  for (const TensorSpecification& tensor : tensors) {
    auto& buffer = values[tensor.name];
    buffer.assign(static_cast<std::size_t>(tensor.shape.elements()), -1.0f);
    destinations.push_back({tensor.name, {buffer.data(), kernels::DType::kFloat32, tensor.shape}});
  }
}

bool holds(const Path& checkpoint, std::int64_t step, int generation) {
  if (!verify(checkpoint).empty() || read_state(checkpoint) != state_of(step, generation))
    return false;
  const TinyCheckpoint expected(step, generation);
  std::vector<TensorSpecification> tensors = gpt2_tensors(tiny_config());
  Buffers parameters(tensors);
  for (TensorSpecification& tensor : tensors) tensor.name = "exp_avg." + tensor.name;
  Buffers optimizer(tensors);
  load_parameters(checkpoint, parameters.destinations);
  load_optimizer(checkpoint, optimizer.destinations);
  return parameters.values == expected.parameters() && optimizer.values == expected.optimizer();
}

std::vector<std::string> names_in(const Path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace ovid::checkpoint
