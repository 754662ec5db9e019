#pragma once

#include <optional>
#include <string>
#include <vector>

#include "src/checkpoint/hugging_face_model.h"
#include "src/checkpoint/safetensors_writer.h"
#include "src/core/file.h"
#include "src/memory/compute_target.h"
#include "src/model/parameters.h"
#include "src/tokenizer/tokenizer.h"

namespace ovid::training {

// The tensors of `parameters` for a checkpoint to write or fill, names with `prefix` before them
// ("exp_avg.").
std::vector<checkpoint::NamedTensor> named_tensors(const model::ParameterSet& parameters,
                                                   const std::string& prefix = "");
std::vector<checkpoint::NamedDestination> named_destinations(const model::ParameterSet& parameters,
                                                             const std::string& prefix = "");

// A model directory in memory: a checkpoint of Ovid, or any Hugging Face GPT-2.
struct LoadedModel {
  model::ModelConfig config;
  model::ParameterSet weights;
};

// In the target's number type, rounded to nearest, on its device. Checks the directory against
// itself before it takes memory. Throws CheckpointError, ResourceError.
LoadedModel load_model(const Path& directory, const memory::ComputeTarget& target = {});

// Where the tokenizer of a model directory lies, if it has one.
std::optional<Path> find_tokenizer(const Path& directory);

}  // namespace ovid::training
