#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ovid::data_tools {

// One input as it lies on the disk, or standard input.
struct InputFile {
  std::string path;                       // "-": standard input
  std::uint64_t bytes = 0;                // 0 for what is no regular file
  std::int64_t modified_nanoseconds = 0;  // since 1970; 0 for what is no regular file
  bool is_regular = false;

  bool operator==(const InputFile&) const = default;
};

// Every file of `inputs` (files, folders, "-") in the order in which they are read: folders in the
// order of their sorted paths, without names that begin with a dot. Throws DataError for what is
// absent or cannot be listed, UsageError where standard input is named twice.
std::vector<InputFile> list_inputs(const std::vector<std::string>& inputs);

}  // namespace ovid::data_tools
