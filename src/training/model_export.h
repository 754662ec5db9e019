#pragma once

#include "src/core/file.h"
#include "src/memory/compute_target.h"

namespace ovid::training {

// Writes the model of `directory` (a checkpoint, or any Hugging Face GPT-2), its adapters merged,
// into the new folder `output` as a plain Hugging Face model: config.json, model.safetensors in
// target.dtype (float32, or rounded to nearest), the tokenizer's files, and what there is of
// generation settings, model card and data passports. `output` appears whole or not at all, and
// must not exist, or be an empty folder. Throws UsageError for what is in the way, CheckpointError,
// ResourceError (memory, disk). Returns the folder's full name.
Path export_model(const Path& directory, const Path& output, const memory::ComputeTarget& target);

}  // namespace ovid::training
