#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "src/checkpoint/safetensors.h"
#include "src/core/file.h"

namespace ovid::checkpoint {

// The tensors of a model directory: of model.safetensors or, where that is absent, of all files
// that model.safetensors.index.json names. Throws CheckpointError where neither is there, where the
// index and its files do not agree, or where a file is malformed.
class ModelTensors {
 public:
  explicit ModelTensors(const Path& directory);

  // Full name in the file to its tensor; lives as long as this object.
  const std::map<std::string, const StoredTensor*, std::less<>>& all() const { return tensors_; }
  const std::vector<SafetensorsFile>& files() const { return files_; }

 private:
  std::vector<SafetensorsFile> files_;
  std::map<std::string, const StoredTensor*, std::less<>> tensors_;
};

// Names compare without this prefix: "transformer.wte.weight" and "wte.weight" are the same
// parameter.
std::string_view without_prefix(std::string_view name);

// A tensor that old versions of transformers stored beside the parameters: the causal mask, or its
// value.
bool is_attention_mask(std::string_view name);

}  // namespace ovid::checkpoint
