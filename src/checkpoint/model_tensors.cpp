#include "src/checkpoint/model_tensors.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "src/checkpoint/json_text.h"
#include "src/core/error.h"

namespace ovid::checkpoint {
namespace {

constexpr const char* kModelFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";

// Tensor name to file name.
std::map<std::string, std::string> read_index(const Path& path) {
  const std::string text = read_json_file(path);
  try {
    auto map =
        nlohmann::json::parse(text).at("weight_map").get<std::map<std::string, std::string>>();
    for (const auto& [name, file] : map) {
      if (!is_plain_file_name(file)) {
        throw CheckpointError(
            fmt::format("{} puts '{}' into the file '{}'; only names of files beside it are read",
                        path.string(), printable(name), printable(file)));
      }
    }
    return map;
  } catch (const nlohmann::json::exception& error) {
    throw CheckpointError(fmt::format("{} is no index with a weight_map of names to files: {}",
                                      path.string(), error.what()));
  }
}

}  // namespace

ModelTensors::ModelTensors(const Path& directory) {
  if (std::filesystem::exists(directory / kModelFile)) {
    files_.emplace_back(directory / kModelFile);
    for (const std::string& name : files_[0].names()) tensors_[name] = &files_[0].tensor(name);
    return;
  }
  if (!std::filesystem::exists(directory / kIndexFile)) {
    throw CheckpointError(
        fmt::format("{} holds neither {} nor {}; convert other formats to safetensors first",
                    directory.string(), kModelFile, kIndexFile));
  }
  const std::map<std::string, std::string> index = read_index(directory / kIndexFile);
  std::set<std::string> names;
  for (const auto& [name, file] : index) names.insert(file);
  files_.reserve(names.size());  // the map below points into the files
  for (const std::string& name : names) files_.emplace_back(directory / name);
  for (const SafetensorsFile& file : files_) {
    for (const std::string& name : file.names()) {
      const auto entry = index.find(name);
      if (entry == index.end() || entry->second != file.path().filename()) {
        throw CheckpointError(fmt::format("{} holds '{}', which {} does not say",
                                          file.path().string(), name, kIndexFile));
      }
      tensors_[name] = &file.tensor(name);
    }
  }
  for (const auto& [name, file] : index) {
    if (tensors_.count(name) == 0) {
      throw CheckpointError(fmt::format("{} puts '{}' into {}, which does not hold it", kIndexFile,
                                        printable(name), file));
    }
  }
}

std::string_view without_prefix(std::string_view name) {
  constexpr std::string_view kPrefix = "transformer.";
  return name.substr(0, kPrefix.size()) == kPrefix ? name.substr(kPrefix.size()) : name;
}

bool is_attention_mask(std::string_view name) {
  name = without_prefix(name);
  if (name.substr(0, 2) != "h.") return false;
  const std::size_t dot = name.find('.', 2);
  if (dot == std::string_view::npos) return false;
  const std::string_view rest = name.substr(dot);
  return rest == ".attn.bias" || rest == ".attn.masked_bias";
}

}  // namespace ovid::checkpoint
