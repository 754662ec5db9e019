#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "src/checkpoint/checkpoint_names.h"
#include "src/checkpoint/json_text.h"
#include "src/checkpoint/manifest.h"
#include "src/checkpoint/model_tensors.h"
#include "src/checkpoint/optimizer_parts.h"
#include "src/checkpoint/run_checkpoint.h"
#include "src/core/error.h"

namespace ovid::checkpoint {
namespace {

using nlohmann::ordered_json;

struct Contents {
  std::optional<Manifest> manifest;
  std::vector<SafetensorsFile> optimizer;
  ModelTensors model;
  std::string config_json;
  std::optional<ModelTensors> average = std::nullopt;
  std::optional<SafetensorsFile> adapter = std::nullopt;
};

Contents read_contents(const Path& directory) {
  if (!std::filesystem::is_directory(directory)) {
    throw CheckpointError(fmt::format("{} is no directory", directory.string()));
  }
  Contents contents{
      std::nullopt, {}, ModelTensors(directory), read_json_file(directory / "config.json")};
  if (std::filesystem::exists(directory / kManifestFile)) {
    contents.manifest = read_manifest(directory);
    for (const Path& path : optimizer_files(directory)) contents.optimizer.emplace_back(path);
  }
  if (std::filesystem::exists(directory / kAdapterFolder / kAdapterTensors))
    contents.adapter.emplace(directory / kAdapterFolder / kAdapterTensors);
  if (has_average(directory)) contents.average.emplace(directory / kAverageFolder);
  return contents;
}

// "model.safetensors" or "average/model.safetensors".
std::string name_within(const Path& directory, const SafetensorsFile& file) {
  const std::string name = file.path().filename().string();
  for (const char* folder : {kAverageFolder, kAdapterFolder}) {
    if (file.path().parent_path() == directory / folder) return fmt::format("{}/{}", folder, name);
  }
  return name;
}

std::uint64_t elements_of(const StoredTensor& tensor) {
  std::uint64_t elements =
      1;  // a product that the header's check bounded by the file's size, or zero
  for (const std::int64_t extent : tensor.shape) elements *= static_cast<std::uint64_t>(extent);
  return elements;
}

std::uint64_t parameters_in(const ModelTensors& model) {
  std::uint64_t parameters = 0;
  for (const auto& [name, tensor] : model.all()) {
    if (!is_attention_mask(name)) parameters += elements_of(*tensor);
  }
  return parameters;
}

template <class Visit>
void for_each_file(const Contents& contents, Visit visit) {
  for (const SafetensorsFile& file : contents.model.files()) visit(file);
  for (const SafetensorsFile& file : contents.optimizer) visit(file);
  if (contents.adapter) visit(*contents.adapter);
  if (!contents.average) return;
  for (const SafetensorsFile& file : contents.average->files()) visit(file);
}

ordered_json files_of(const Path& directory, const Contents& contents) {
  ordered_json files = ordered_json::array();
  if (contents.manifest) {
    for (const auto& [name, file] : contents.manifest->files) {
      files.push_back({{"name", name}, {"bytes", file.bytes}, {"checksum", file.checksum}});
    }
    return files;
  }
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (!entry.is_regular_file()) continue;
    files.push_back({{"name", entry.path().filename().string()},
                     {"bytes", size_of_file(entry.path())},
                     {"checksum", nullptr}});
  }
  std::sort(files.begin(), files.end(),
            [](const auto& a, const auto& b) { return a.at("name") < b.at("name"); });
  return files;
}

ordered_json tensors_of(const Path& directory, const Contents& contents) {
  ordered_json tensors = ordered_json::array();
  for_each_file(contents, [&](const SafetensorsFile& file) {
    for (const std::string& name : file.names()) {
      const StoredTensor& tensor = file.tensor(name);
      tensors.push_back({{"file", name_within(directory, file)},
                         {"name", name},
                         {"dtype", tensor.dtype},
                         {"shape", tensor.shape},
                         {"bytes", tensor.bytes.size()}});
    }
  });
  return tensors;
}

}  // namespace

std::string inspect_json(const Path& directory) {
  const Contents contents = read_contents(directory);
  ordered_json document;
  document["path"] = directory.string();
  document["step"] = contents.manifest ? ordered_json(contents.manifest->step) : ordered_json();
  document["format_version"] =
      contents.manifest ? ordered_json(contents.manifest->format_version) : ordered_json();
  document["metadata"] =
      contents.manifest ? ordered_json(contents.manifest->metadata) : ordered_json();
  try {
    document["config"] = ordered_json::parse(contents.config_json);
  } catch (const ordered_json::exception& error) {
    throw CheckpointError(
        fmt::format("{}: {}", (directory / "config.json").string(), error.what()));
  }
  document["parameters"] = parameters_in(contents.model);
  document["files"] = files_of(directory, contents);
  document["tensors"] = tensors_of(directory, contents);
  return document.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

std::string inspect_text(const Path& directory) {
  const Contents contents = read_contents(directory);
  std::string text = fmt::format("{}\n", directory.string());
  if (contents.manifest) {
    text += fmt::format("step {}, format version {}\n", contents.manifest->step,
                        contents.manifest->format_version);
    for (const auto& [key, value] : contents.manifest->metadata)
      text += fmt::format("{}: {}\n", key, value);
  } else {
    text += "no manifest: a model directory, not a checkpoint of a run\n";
  }
  text += fmt::format("{} parameters\n", parameters_in(contents.model));
  for_each_file(contents, [&](const SafetensorsFile& file) {
    text +=
        fmt::format("\n{} ({} bytes)\n", name_within(directory, file), size_of_file(file.path()));
    for (const std::string& name : file.names()) {
      const StoredTensor& tensor = file.tensor(name);
      text += fmt::format("  {:<48} {:<5} {}\n", name, tensor.dtype, shape_text(tensor.shape));
    }
  });
  return text;
}

}  // namespace ovid::checkpoint
