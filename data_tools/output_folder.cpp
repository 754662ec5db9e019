#include "data_tools/output_folder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

#include "src/core/error.h"

namespace ovid::data_tools {
namespace fs = std::filesystem;
namespace {

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

OutputFolder::OutputFolder(const std::string& path, const std::string& marker, Belongs belongs,
                           bool overwrite)
    : final_(normal_path(path)), marker_(marker), belongs_(std::move(belongs)) {
  existed_ = fs::exists(final_);
  if (existed_ && !fs::is_directory(final_)) {
    throw UsageError(fmt::format("--output {} is a file; name a folder", path));
  }
  if (existed_ && !overwrite) {
    for (const std::string& name : names_in(final_)) {
      if (!belongs_(name)) continue;
      throw UsageError(
          fmt::format("{} holds {} already; choose another --output, or replace it with "
                      "--overwrite",
                      path, name));
    }
  }
  const std::string name = fmt::format(".tmp-{}-{}", final_.filename().string(), ::getpid());
  temporary_ = (existed_ ? final_ : final_.parent_path()) / name;
  make_directories(temporary_);
}

OutputFolder::~OutputFolder() {
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);
}

void OutputFolder::commit() {
  sync_directory(temporary_);
  if (!existed_) {
    rename_durably(temporary_, final_);
    return;
  }
  fs::remove(final_ / marker_);
  sync_directory(final_);
  for (const std::string& name : names_in(final_)) {
    if (belongs_(name)) fs::remove_all(final_ / name);
  }
  for (const std::string& name : names_in(temporary_)) {
    if (name != marker_) rename_durably(temporary_ / name, final_ / name);
  }
  rename_durably(temporary_ / marker_, final_ / marker_);
}

}  // namespace ovid::data_tools
