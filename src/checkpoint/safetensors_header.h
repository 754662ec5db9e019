#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>

#include "src/checkpoint/safetensors.h"

namespace ovid::checkpoint {

struct SafetensorsContent {
  std::map<std::string, StoredTensor, std::less<>> tensors;
  std::map<std::string, std::string> metadata;
};

// Parses and checks a whole safetensors file that lies in memory; the tensors point into `file`.
// Throws CheckpointError with `path` in the message.
SafetensorsContent parse_safetensors(std::span<const std::byte> file, const Path& path);

}  // namespace ovid::checkpoint
