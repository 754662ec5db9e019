#include "src/training/model_export.h"

#include <fmt/format.h>

#include <map>
#include <random>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "src/checkpoint/adapter_files.h"
#include "src/checkpoint/hugging_face_model.h"
#include "src/checkpoint/safetensors_writer.h"
#include "src/checkpoint/tokenizer_files.h"
#include "src/core/error.h"
#include "src/memory/buffer.h"
#include "src/training/parameter_files.h"

namespace ovid::training {
namespace {

// A folder that becomes `final` by one rename, or leaves nothing.
class PendingFolder {
 public:
  explicit PendingFolder(Path final) : final_(std::move(final)) {
    std::random_device random;
    temporary_ = parent() / fmt::format(".tmp-{}-{:08x}", final_.filename().string(), random());
    make_directories(temporary_);
  }
  ~PendingFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(temporary_, ignored);
  }
  PendingFolder(const PendingFolder&) = delete;
  PendingFolder& operator=(const PendingFolder&) = delete;

  const Path& path() const { return temporary_; }

  void commit() const {
    sync_directory(temporary_);
    rename_durably(temporary_, final_);  // an empty folder gives way
  }

  Path parent() const { return final_.parent_path(); }

 private:
  Path final_;
  Path temporary_;
};

void refuse_what_is_in_the_way(const Path& output) {
  if (!std::filesystem::exists(output)) return;
  if (std::filesystem::is_directory(output) && std::filesystem::is_empty(output)) return;
  throw UsageError(fmt::format(
      "{} exists already, and an export replaces nothing: name a new folder", output.string()));
}

// Small files beside the weights that programs and readers look for, tokenizers aside, by name; of
// a folder of adapters alone also those of its base.
std::map<std::string, Path> companions_of(const Path& directory) {
  std::map<std::string, Path> found;
  for (const Path& place : {directory, checkpoint::base_model_directory(directory)}) {
    for (const auto& entry : std::filesystem::directory_iterator(place)) {
      const std::string name = entry.path().filename().string();
      const bool wanted = name == "README.md" || name == "generation_config.json" ||
                          (name.starts_with("passport") && entry.path().extension() == ".json");
      if (wanted && entry.is_regular_file()) found.emplace(name, entry.path());
    }
  }
  return found;
}

void require_free_space(const Path& place, const std::vector<checkpoint::NamedTensor>& tensors) {
  constexpr std::uint64_t kSmallFiles = 16 << 20;  // tokenizer, config, passports
  const std::uint64_t needed = checkpoint::safetensors_bytes(tensors, {}) + kSmallFiles;
  const std::uint64_t available = free_bytes(place);
  if (available >= needed) return;
  throw ResourceError(fmt::format("the export needs {}, {} has {} free: free some space",
                                  memory::readable_bytes(needed), place.string(),
                                  memory::readable_bytes(available)));
}

}  // namespace

Path export_model(const Path& directory, const Path& output, const memory::ComputeTarget& target) {
  if (output.empty()) throw UsageError("the export has no name: give a new folder");
  const Path place =
      (std::filesystem::weakly_canonical(std::filesystem::absolute(output)) / "").parent_path();
  refuse_what_is_in_the_way(place);
  const LoadedModel model = load_model(directory, target);
  const PendingFolder folder(place);
  const auto tensors = named_tensors(model.weights);
  require_free_space(folder.parent(), tensors);
  checkpoint::write_safetensors(folder.path() / "model.safetensors", tensors, {{"format", "pt"}});
  const std::string config = checkpoint::model_config_json(
      model.config, checkpoint::read_end_of_text(checkpoint::base_model_directory(directory)),
      target.dtype);
  checkpoint::write_bytes(folder.path() / "config.json", std::as_bytes(std::span(config)));
  if (const auto tokenizer = find_tokenizer(directory)) {
    for (const checkpoint::TokenizerFile& file : checkpoint::find_tokenizer_files(*tokenizer))
      checkpoint::write_bytes(folder.path() / file.name, MappedFile(file.source).bytes());
  }
  for (const auto& [name, file] : companions_of(directory))
    checkpoint::write_bytes(folder.path() / name, MappedFile(file).bytes());
  folder.commit();
  return place;
}

}  // namespace ovid::training
