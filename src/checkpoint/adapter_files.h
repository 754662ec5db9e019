#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>

#include "src/checkpoint/hugging_face_model.h"
#include "src/checkpoint/safetensors_writer.h"
#include "src/core/file.h"
#include "src/model/model_config.h"

// Low-rank adapters in the layout of Hugging Face's PEFT: adapter_config.json beside
// adapter_model.safetensors, whose tensors are "base_model.model.transformer.h.0.attn.c_attn.
// lora_A.weight" (rank, in) and "...lora_B.weight" (out, rank). In memory B is (rank, out).
namespace ovid::checkpoint {

// The files of a checkpoint's adapters, by name within it ("adapter/adapter_config.json").
// `tensors`: all of a model with adapters of `config`, float32, on the host or a device, named as
// in the model. `base`: what adapter_config.json says that the base model is.
std::map<std::string, std::string> adapter_texts(const model::LowRankConfig& config,
                                                 std::span<const NamedTensor> tensors,
                                                 const std::string& base);

// Where the adapters of a model directory lie: its folder adapter/, or the directory itself where
// it holds adapter_config.json; nothing where it has none.
std::optional<Path> find_adapter(const Path& directory);

// The directory of the model that `directory` is: itself, or of a folder of adapters alone, as PEFT
// saves it, the base model that adapter_config.json names: a path from that folder or from here.
// Throws CheckpointError where that is no folder.
Path base_model_directory(const Path& directory);

// The adapters that `adapter` holds for a model of `base`'s shape: rank, alpha, linears. Of
// rank-stabilised ones (use_rslora) alpha is given so that alpha / rank is their scale. Throws
// CheckpointError for other kinds than LoRA, for settings under which PEFT would compute something
// else than Ovid, and for tensors that are missing, unknown or of another shape.
model::LowRankConfig read_adapter_config(const Path& adapter, const model::ModelConfig& base);

// Fills the destinations, named as in the model, all of a model of `base`'s shape with those
// adapters. F16 and BF16 become float32. Throws CheckpointError as read_adapter_config.
void read_adapter(const Path& adapter, const model::ModelConfig& base,
                  std::span<const NamedDestination> destinations);

}  // namespace ovid::checkpoint
