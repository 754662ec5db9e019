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

// The tensors of `parameters` for a checkpoint to write or fill: GPT-2's own, or those of its
// adapters.
enum class TensorKind { kOwn, kAdapter };
std::vector<checkpoint::NamedTensor> named_tensors(const model::ParameterSet& parameters,
                                                   TensorKind kind = TensorKind::kOwn);
std::vector<checkpoint::NamedDestination> named_destinations(const model::ParameterSet& parameters,
                                                             TensorKind kind = TensorKind::kOwn);

// A model directory in memory: a checkpoint of Ovid, any Hugging Face GPT-2, or a folder of PEFT's
// with low-rank adapters of one.
struct LoadedModel {
  model::ModelConfig config;
  model::ParameterSet weights;
};

// Merges the adapters that the model directory `directory` has (checkpoint::find_adapter) into
// `weights`, float32, on any device; nothing where it has none. On `threads` threads of the host.
// Throws CheckpointError, ResourceError.
void merge_adapter(const Path& directory, const model::ParameterSet& weights, int threads);

// With its adapters merged, in the target's number type, rounded to nearest, on its device. Checks
// the directory against itself before it takes memory. Throws CheckpointError, ResourceError.
LoadedModel load_model(const Path& directory, const memory::ComputeTarget& target = {});

// Where the tokenizer of a model directory lies, if it has one.
std::optional<Path> find_tokenizer(const Path& directory);

}  // namespace ovid::training
