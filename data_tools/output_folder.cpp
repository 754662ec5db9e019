#include "data_tools/output_folder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

#include "src/core/error.h"

namespace ovid::data_tools {
namespace fs = std::filesystem;
namespace {

constexpr const char* kLock = "lock";
constexpr const char* kCommitting = "committing";

Path normal_path(const std::string& path) {
  if (path.empty()) throw UsageError("--output is empty; name a folder");
  Path normal = fs::absolute(path).lexically_normal();
  if (!normal.has_filename()) normal = normal.parent_path();  // "out/"
  return normal;
}

std::vector<std::string> names_in(const Path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

}  // namespace

OutputFolder::OutputFolder(OutputFolderOptions options)
    : options_(std::move(options)), final_(normal_path(options_.path)) {
  existed_ = fs::exists(final_);
  if (existed_ && !fs::is_directory(final_)) {
    throw UsageError(fmt::format("--output {} is a file; name a folder", options_.path));
  }
  const bool resumable = !options_.journal.empty();
  const std::string name = fmt::format(".tmp-{}{}", final_.filename().string(),
                                       resumable ? std::string() : fmt::format("-{}", ::getpid()));
  const Path beside = final_.parent_path() / name;
  // The folder may have been made since the work began beside it.
  const bool begun_beside = resumable && fs::exists(beside / options_.journal);
  working_ = existed_ && !begun_beside ? final_ / name : beside;
  const bool left_by_commit = resumable && fs::exists(working_ / kCommitting);
  if (existed_ && !options_.overwrite && !left_by_commit) refuse_to_overwrite();
  make_directories(working_);
  if (!resumable) return;
  if (auto lock = FileLock::try_lock(working_ / kLock, fmt::format("{}\n", ::getpid()))) {
    lock_.emplace(std::move(*lock));
  } else {
    keep_ = true;
    throw UsageError(
        fmt::format("another ovid-data writes {} now; wait for it, or choose another --output",
                    final_.string()));
  }
  const bool begun = fs::exists(working_ / options_.journal) || left_by_commit;
  if (!begun || options_.restart) {
    clear_working_folder();
  } else {
    remove_temporaries();
  }
}

void OutputFolder::refuse_to_overwrite() const {
  for (const std::string& name : names_in(final_)) {
    if (!options_.belongs(name)) continue;
    throw UsageError(
        fmt::format("{} holds {} already; choose another --output, or replace it with "
                    "--overwrite",
                    options_.path, name));
  }
}

void OutputFolder::clear_working_folder() const {
  for (const std::string& name : names_in(working_)) {
    if (name != kLock) fs::remove_all(working_ / name);
  }
}

void OutputFolder::remove_temporaries() const {
  std::vector<Path> found;
  for (const auto& entry : fs::recursive_directory_iterator(working_)) {
    const bool temporary = entry.path().filename().string().find(".tmp-") != std::string::npos;
    if (temporary && entry.is_regular_file()) found.push_back(entry.path());
  }
  for (const Path& path : found) fs::remove(path);
}

OutputFolder::~OutputFolder() {
  if (keep_) return;
  std::error_code ignored;
  fs::remove_all(working_, ignored);
}

bool OutputFolder::only_commit_is_left() const {
  return fs::exists(working_ / kCommitting);
}

void OutputFolder::commit() {
  fs::remove(working_ / kLock);
  sync_directory(working_);
  if (!existed_) {
    rename_durably(working_, final_);
    return;
  }
  if (!only_commit_is_left()) {
    fs::remove(final_ / options_.marker);
    sync_directory(final_);
    for (const std::string& name : names_in(final_)) {
      if (options_.belongs(name)) fs::remove_all(final_ / name);
    }
    replace_file(working_ / kCommitting, "");
  }
  for (const std::string& name : names_in(working_)) {
    if (name == options_.marker || name == kCommitting) continue;
    rename_durably(working_ / name, final_ / name);
  }
  // Absent where an earlier process was ended right after this step.
  if (fs::exists(working_ / options_.marker)) {
    rename_durably(working_ / options_.marker, final_ / options_.marker);
  }
}

Path cut_back(const Path& path, std::uint64_t bytes) {
  if (size_of_file(path) < bytes) {
    throw DataError(
        fmt::format("{} has {} bytes, and {} were written before the interruption; "
                    "begin anew with --restart",
                    path.string(), size_of_file(path), bytes));
  }
  std::error_code error;
  std::filesystem::resize_file(path, bytes, error);
  if (error) {
    throw ResourceError(fmt::format("cannot cut {}: {}", path.string(), error.message()));
  }
  return path;
}

}  // namespace ovid::data_tools
