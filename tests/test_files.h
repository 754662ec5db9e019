#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace ovid::test {

// A fresh empty folder, removed with everything in it at the end of the scope.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// A file of the test data that lies beside a checkout (OVID_SHARED_DATA overrides the place). Where
// it is absent: prints which file and how to get it, and returns nothing; the test then returns at
// once and counts as skipped.
std::optional<std::filesystem::path> shared_data(const std::string& relative_path);

std::filesystem::path source_directory();
std::filesystem::path binary_directory();  // of the build, where the programs lie

}  // namespace ovid::test
