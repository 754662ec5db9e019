#include "src/checkpoint/safetensors.h"

#include <fmt/format.h>

#include <utility>

#include "src/checkpoint/safetensors_header.h"
#include "src/core/error.h"

namespace ovid::checkpoint {
namespace {

MappedFile map_model_file(const Path& path) {
  try {
    return MappedFile(path);
  } catch (const DataError& error) {
    throw CheckpointError(error.what());  // absent, a folder, a pipe: no model is there
  }
}

}  // namespace

SafetensorsFile::SafetensorsFile(const Path& path) : file_(map_model_file(path)) {
  SafetensorsContent content = parse_safetensors(file_.bytes(), path);
  tensors_ = std::move(content.tensors);
  metadata_ = std::move(content.metadata);
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  names.reserve(tensors_.size());
  for (const auto& [name, tensor] : tensors_) names.push_back(name);
  return names;
}

const StoredTensor& SafetensorsFile::tensor(std::string_view name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    throw CheckpointError(fmt::format("{} holds no tensor '{}' among its {}", path().string(), name,
                                      tensors_.size()));
  }
  return found->second;
}

std::string shape_text(std::span<const std::int64_t> shape) {
  return fmt::format("({})", fmt::join(shape, ", "));
}

bool same_shape(std::span<const std::int64_t> stored, const kernels::Shape& shape) {
  if (stored.size() != static_cast<std::size_t>(shape.rank())) return false;
  for (int i = 0; i < shape.rank(); ++i) {
    if (stored[static_cast<std::size_t>(i)] != shape[i]) return false;
  }
  return true;
}

}  // namespace ovid::checkpoint
