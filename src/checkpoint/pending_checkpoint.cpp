#include "src/checkpoint/pending_checkpoint.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/checkpoint/checkpoint_names.h"
#include "src/core/error.h"
#include "src/core/log.h"

namespace ovid::checkpoint {

namespace {

// Says of which attempt a finished checkpoint came; in its manifest.
constexpr const char* kAttempt = "attempt";

// A rank looks for the folder of rank 0 no longer than this: both begin a save in the same step.
constexpr double kMostSecondsToBegin = 120;

std::string temporary_name(std::int64_t step, const WritingRanks& ranks) {
  return ranks.count > 1 ? shared_name(kTemporaryPrefix, step, ranks.attempt)
                         : unique_name(kTemporaryPrefix, step);
}

bool folder_exists(const Path& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error);
}

std::error_code remove_content(const Path& folder) {
  std::error_code error;
  for (auto entry = std::filesystem::directory_iterator(folder, error);
       !error && entry != end(entry); entry.increment(error)) {
    std::filesystem::remove_all(entry->path(), error);
  }
  return error;
}

// What dropped saves of several ranks left for those that came late. Best effort: the next start
// removes them too.
void remove_marks(const Path& directory) {
  std::error_code error;
  for (auto entry = std::filesystem::directory_iterator(directory, error);
       !error && entry != end(entry); entry.increment(error)) {
    std::error_code ignored;
    if (entry->path().filename().string().rfind(kTrashPrefix, 0) == 0)
      std::filesystem::remove_all(entry->path(), ignored);
  }
}

}  // namespace

PendingCheckpoint::PendingCheckpoint(const Path& run_directory, std::int64_t step,
                                     const WritingRanks& ranks, const Hurry* hurry)
    : ranks_(ranks),
      directory_(checkpoints_directory(run_directory)),
      temporary_(directory_ / temporary_name(step, ranks)),
      final_(directory_ / step_name(step)) {
  manifest_.step = step;
  if (ranks_.rank == 0) {
    make_temporary(run_directory);
    return;
  }
  const double seconds = std::min(ranks_.timeout_seconds, kMostSecondsToBegin);
  if (!wait_for([&] { return folder_exists(temporary_) || was_dropped(); }, seconds, hurry)) {
    throw ResourceError(
        fmt::format("rank 0 has not begun the checkpoint of step {} in time, or this rank does not "
                    "see {}: all ranks need the same run.directory",
                    step, directory_.string()));
  }
  if (was_dropped()) refuse_dropped();
}

void PendingCheckpoint::make_temporary(const Path& run_directory) {
  if (!std::filesystem::exists(directory_)) {
    make_directories(directory_);
    // The names of new folders, too, must survive a power cut.
    sync_directory(run_directory);
    sync_directory(run_directory.parent_path());
  }
  if (ranks_.count > 1) remove_marks(directory_);
  make_directories(temporary_);
}

PendingCheckpoint::~PendingCheckpoint() {
  if (committed_ || ranks_.rank != 0) return;
  std::error_code error;
  if (ranks_.count > 1) {
    // By its new name ranks that come late, too, see what became of it: the next save removes it.
    std::filesystem::rename(temporary_, dropped_mark(), error);
    if (!error) error = remove_content(dropped_mark());
  } else {
    std::filesystem::remove_all(temporary_, error);
  }
  if (error) {
    log::warning(
        fmt::format("cannot remove the unfinished checkpoint {}: {}; the next start removes it",
                    temporary_.string(), error.message()));
  }
}

Path PendingCheckpoint::dropped_mark() const {
  return directory_ / shared_name(kTrashPrefix, manifest_.step, ranks_.attempt);
}

// Where a file goes; makes its folder.
Path PendingCheckpoint::place_of(const std::string& name) {
  Path place = temporary_ / name;
  if (place.parent_path() != temporary_) {
    make_directories(place.parent_path());
    const bool is_average = place.parent_path().filename() == kAverageFolder;
    manifest_.format_version =
        std::max(manifest_.format_version, is_average ? kAverageFormatVersion : kFormatVersion);
  }
  return place;
}

void PendingCheckpoint::add_tensors(const std::string& name, std::span<const NamedTensor> tensors) {
  manifest_.files[name] = write_safetensors(place_of(name), tensors, {{"format", "pt"}});
}

void PendingCheckpoint::add_tensor_parts(const std::string& name,
                                         std::span<const NamedTensor> whole,
                                         std::span<const NamedTensor> parts) {
  const auto ranges =
      write_safetensors_parts(place_of(name), whole, parts, {{"format", "pt"}}, ranks_.rank == 0);
  for (const auto& [range, written] : ranges) manifest_.files[name + "@" + range] = written;
}

void PendingCheckpoint::add_text(const std::string& name, std::string_view text) {
  manifest_.files[name] = write_bytes(place_of(name), std::as_bytes(std::span(text)));
}

void PendingCheckpoint::add_copy(const std::string& name, const Path& source) {
  const MappedFile file(source);
  manifest_.files[name] = write_bytes(place_of(name), file.bytes());
}

void PendingCheckpoint::sync_folders() const {
  for (const char* folder : {kAverageFolder, kAdapterFolder}) {
    if (folder_exists(temporary_ / folder)) sync_directory(temporary_ / folder);
  }
  sync_directory(temporary_);
}

void PendingCheckpoint::leave_files() {
  sync_folders();
  leave_record(temporary_, manifest_.step, ranks_, {.files = manifest_.files, .failure = ""});
}

void PendingCheckpoint::leave_failure(const std::string& why) noexcept {
  if (was_dropped()) return;  // that is why
  try {
    // On a full disk what this rank wrote makes room for its record.
    for (const auto& [name, written] : manifest_.files) {
      std::error_code ignored;
      if (name.find('@') == std::string::npos) std::filesystem::remove(temporary_ / name, ignored);
    }
    leave_record(temporary_, manifest_.step, ranks_, {.files = {}, .failure = why});
  } catch (const std::exception& error) {
    // Rank 0 then gives up by its timeout.
    log::warning(fmt::format("cannot tell rank 0 of the failed checkpoint: {}", error.what()));
  }
}

bool PendingCheckpoint::was_dropped() const {
  return folder_exists(dropped_mark());
}

void PendingCheckpoint::refuse_dropped() const {
  throw ResourceError(
      fmt::format("the checkpoint of step {} was dropped, since a rank could not write its part; "
                  "the log of rank 0 has the reason",
                  manifest_.step));
}

Path PendingCheckpoint::await_commit(const Hurry* hurry) {
  // Longer than rank 0 waits, which begins when its own files are written.
  const double seconds = 2 * ranks_.timeout_seconds;
  if (!wait_for([&] { return !folder_exists(temporary_); }, seconds, hurry)) {
    throw ResourceError(
        fmt::format("rank 0 has neither finished nor dropped {} in time", temporary_.string()));
  }
  try {
    const Manifest manifest = read_manifest(final_);
    const auto attempt = manifest.metadata.find(kAttempt);
    if (attempt != manifest.metadata.end() &&
        attempt->second == fmt::format("{:016x}", ranks_.attempt))
      return final_;
  } catch (const Error&) {
    // No checkpoint of this step is there: it was dropped.
  }
  refuse_dropped();
}

void PendingCheckpoint::collect(const Hurry* hurry) {
  manifest_.files = collect_records(temporary_, manifest_.step, ranks_, manifest_.files, hurry);
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
  if (ranks_.count > 1) manifest_.metadata[kAttempt] = fmt::format("{:016x}", ranks_.attempt);
  const std::string text = manifest_text(manifest_);
  write_bytes(temporary_ / kManifestFile, std::as_bytes(std::span(text)));
  sync_folders();
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
