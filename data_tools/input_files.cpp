#include "data_tools/input_files.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "src/core/error.h"

namespace ovid::data_tools {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  try {
    auto entry = fs::recursive_directory_iterator(folder);
    for (; entry != fs::recursive_directory_iterator(); ++entry) {
      if (entry->path().filename().string().starts_with('.')) {
        entry.disable_recursion_pending();
      } else if (entry->is_regular_file()) {
        files.push_back(entry->path());
      }
    }
  } catch (const fs::filesystem_error& error) {
    throw DataError(fmt::format("cannot list {}: {}", folder.string(), error.code().message()));
  }
  std::sort(files.begin(), files.end());
  return files;
}

InputFile describe(const std::string& path) {
  InputFile file{.path = path};
  if (path == "-") return file;
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    throw DataError(fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  }
  if (!S_ISREG(status.st_mode)) return file;
  constexpr std::int64_t kNanoseconds = 1'000'000'000;
  file.is_regular = true;
  file.bytes = static_cast<std::uint64_t>(status.st_size);
  file.modified_nanoseconds = status.st_mtim.tv_sec * kNanoseconds + status.st_mtim.tv_nsec;
  return file;
}

}  // namespace

std::vector<InputFile> list_inputs(const std::vector<std::string>& inputs) {
  if (std::count(inputs.begin(), inputs.end(), "-") > 1) {
    throw UsageError("standard input (-) is named twice; it can be read once");
  }
  std::vector<InputFile> files;
  for (const std::string& input : inputs) {
    std::error_code error;
    if (input == "-" || !fs::is_directory(input, error)) {
      files.push_back(describe(input));
      continue;
    }
    for (const fs::path& path : files_in(input)) files.push_back(describe(path.string()));
  }
  return files;
}

}  // namespace ovid::data_tools
