#if !__has_include(<catch2/catch_all.hpp>)
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
#endif

#include <fmt/format.h>
#include <stdlib.h>

#include <cstdio>
#include <stdexcept>

#include "tests/test_files.h"

namespace ovid::test {

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "ovid-test-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr)
    throw std::runtime_error("cannot make a folder like " + pattern);
  path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::optional<std::filesystem::path> shared_data(const std::string& relative_path) {
  const char* overridden = std::getenv("OVID_SHARED_DATA");
  const std::filesystem::path path =
      std::filesystem::path(overridden != nullptr ? overridden : OVID_SHARED_DATA) / relative_path;
  if (std::filesystem::exists(path)) return path;
  fmt::print(
      stderr,
      "SKIPPED: test data {} is not beside this checkout (set OVID_SHARED_DATA to its folder)\n",
      relative_path);
  return std::nullopt;
}

std::filesystem::path source_directory() {
  return OVID_SOURCE_DIR;
}
std::filesystem::path binary_directory() {
  return OVID_BINARY_DIR;
}

}  // namespace ovid::test
