#include <vector>

#include "src/checkpoint/hugging_face_model.h"
#include "src/checkpoint/run_checkpoint.h"
#include "tests/fuzz/fuzz_target.h"

// A Hugging Face model directory: config.json beside model.safetensors, or beside an index and its
// files.
namespace ovid::fuzz {
namespace {

void read_model(const Path& directory, std::size_t input_bytes) {
  const model::ModelConfig config = checkpoint::read_model_config(directory);
  checkpoint::check_parameters(directory, config);
  // Every parameter is in the files now, so the model is no larger than they are.
  std::vector<std::vector<float>> values;
  std::vector<checkpoint::NamedDestination> destinations;
  std::size_t elements = 0;
  for (const checkpoint::TensorSpecification& tensor : checkpoint::gpt2_tensors(config)) {
    elements += static_cast<std::size_t>(tensor.shape.elements());
    if (elements > input_bytes) fail("a model with more parameters than its files have bytes");
    values.emplace_back(static_cast<std::size_t>(tensor.shape.elements()));
    destinations.push_back(
        {tensor.name, kernels::View(values.back().data(), kernels::DType::kFloat32, tensor.shape)});
  }
  checkpoint::read_parameters(directory, destinations);
}

}  // namespace

const AllowedBytes kAllowedBytes = kStrict;

void try_input(std::string_view input) {
  write_sections(split_sections(input),
                 {"config.json", "model.safetensors", "model.safetensors.index.json",
                  "part-1.safetensors", "part-2.safetensors"});
  refuses([&] { read_model(folder(), input.size()); });
  refuses([&] { check_shown(checkpoint::inspect_text(folder())); });
  refuses([&] { check_shown(checkpoint::inspect_json(folder())); });
  for (const std::string& problem : checkpoint::verify(folder())) check_message(problem);
}

}  // namespace ovid::fuzz
