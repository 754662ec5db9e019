#include "src/checkpoint/checkpoint_validity.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "src/checkpoint/checkpoint_names.h"
#include "src/checkpoint/manifest.h"
#include "src/core/error.h"

namespace ovid::checkpoint {
namespace {

void require(const Manifest& manifest, const std::string& name,
             std::vector<std::string>& problems) {
  if (manifest.files.count(name) == 0)
    problems.push_back(fmt::format("its manifest lacks {}", name));
}

bool names_folder(const Manifest& manifest, const std::string& name) {
  const std::string folder = name + "/";
  return std::any_of(manifest.files.begin(), manifest.files.end(), [&](const auto& file) {
    return file.first.compare(0, folder.size(), folder) == 0;
  });
}

}  // namespace

std::vector<std::string> checkpoint_problems(const Path& checkpoint, std::int64_t step,
                                             HashCheck check) {
  try {
    const Manifest manifest = read_manifest(checkpoint);
    if (manifest.step != step) return {fmt::format("its manifest is of step {}", manifest.step)};
    std::vector<std::string> problems;
    for (const char* name : {"model.safetensors", "config.json", "state.json"})
      require(manifest, name, problems);
    if (names_folder(manifest, kAverageFolder)) {
      for (const char* name : {"/model.safetensors", "/config.json"})
        require(manifest, std::string(kAverageFolder) + name, problems);
    }
    if (names_folder(manifest, kAdapterFolder)) {
      for (const char* name : {kAdapterTensors, kAdapterConfig})
        require(manifest, fmt::format("{}/{}", kAdapterFolder, name), problems);
    }
    if (problems.empty()) problems = compare_files(checkpoint, manifest, check);
    return problems;
  } catch (const Error& error) {
    return {error.what()};
  }
}

}  // namespace ovid::checkpoint
