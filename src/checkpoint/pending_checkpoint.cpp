#include "src/checkpoint/pending_checkpoint.h"

#include <fmt/format.h>

#include "src/checkpoint/checkpoint_names.h"
#include "src/core/error.h"
#include "src/core/log.h"

namespace ovid::checkpoint {

PendingCheckpoint::PendingCheckpoint(const Path& run_directory, std::int64_t step)
    : directory_(checkpoints_directory(run_directory)),
      temporary_(directory_ / unique_name(kTemporaryPrefix, step)),
      final_(directory_ / step_name(step)) {
  manifest_.step = step;
  if (!std::filesystem::exists(directory_)) {
    make_directories(directory_);
    // The names of new folders, too, must survive a power cut.
    sync_directory(run_directory);
    sync_directory(run_directory.parent_path());
  }
  make_directories(temporary_);
}

PendingCheckpoint::~PendingCheckpoint() {
  if (committed_) return;
  std::error_code error;
  std::filesystem::remove_all(temporary_, error);
  if (error) {
    log::warning(
        fmt::format("cannot remove the unfinished checkpoint {}: {}; the next start removes it",
                    temporary_.string(), error.message()));
  }
}

// Where a file goes; makes its folder.
Path PendingCheckpoint::place_of(const std::string& name) {
  Path place = temporary_ / name;
  if (place.parent_path() != temporary_) {
    make_directories(place.parent_path());
    manifest_.format_version = kFormatVersion;
  }
  return place;
}

void PendingCheckpoint::add_tensors(const std::string& name, std::span<const NamedTensor> tensors) {
  manifest_.files[name] = write_safetensors(place_of(name), tensors, {{"format", "pt"}});
}

void PendingCheckpoint::add_text(const std::string& name, std::string_view text) {
  manifest_.files[name] = write_bytes(place_of(name), std::as_bytes(std::span(text)));
}

void PendingCheckpoint::add_copy(const std::string& name, const Path& source) {
  const MappedFile file(source);
  manifest_.files[name] = write_bytes(place_of(name), file.bytes());
}

void PendingCheckpoint::set_previous_aside() {
  if (!std::filesystem::exists(std::filesystem::symlink_status(final_))) return;
  replaced_ = directory_ / unique_name(kReplacedPrefix, manifest_.step);
  rename_durably(final_, replaced_);
}

// Takes back what commit() did to the names. A rename may have happened although its sync failed.
void PendingCheckpoint::undo_rename() {
  std::error_code error;
  if (!std::filesystem::exists(temporary_) && std::filesystem::exists(final_)) {
    std::filesystem::rename(final_, temporary_, error);
  }
  if (!replaced_.empty() && std::filesystem::exists(replaced_) && !error) {
    std::filesystem::rename(replaced_, final_, error);
  }
  if (error) {
    log::error(fmt::format("cannot take back the failed checkpoint {}: {}", final_.string(),
                           error.message()));
  }
}

Path PendingCheckpoint::commit(const Metadata& metadata) {
  for (const std::string& problem : compare_files(temporary_, manifest_, HashCheck::kSizesOnly)) {
    throw ResourceError(fmt::format("{}: {} right after it was written; check the disk",
                                    temporary_.string(), problem));
  }
  manifest_.metadata = metadata;
  const std::string text = manifest_text(manifest_);
  write_bytes(temporary_ / kManifestFile, std::as_bytes(std::span(text)));
  if (std::filesystem::exists(temporary_ / kAverageFolder))
    sync_directory(temporary_ / kAverageFolder);
  sync_directory(temporary_);
  try {
    set_previous_aside();
    rename_durably(temporary_, final_);
  } catch (...) {
    undo_rename();
    throw;
  }
  committed_ = true;
  if (!replaced_.empty()) {
    std::error_code error;
    std::filesystem::remove_all(replaced_, error);
    if (error)
      log::warning(fmt::format("cannot remove {}: {}", replaced_.string(), error.message()));
  }
  return final_;
}

}  // namespace ovid::checkpoint
