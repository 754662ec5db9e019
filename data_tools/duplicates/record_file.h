#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "src/core/file.h"

namespace ovid::data_tools::duplicates {

// Records of one size that are only ever appended, so that a run that was interrupted goes on from
// any number of them that it had synced.
class RecordFile {
 public:
  // Goes on behind the first `records`, and cuts off what follows; 0 begins anew, with the folder
  // made where it is absent. Throws DataError where the file has fewer, ResourceError of the disk.
  RecordFile(Path path, std::size_t record_bytes, std::uint64_t records);

  void add(std::span<const std::byte> record);  // of record_bytes
  std::uint64_t count() const { return count_; }
  void flush();  // to the system: readers see it
  void sync();   // to the disk
  const Path& path() const { return path_; }

 private:
  Path path_;
  std::size_t record_bytes_;
  std::uint64_t count_;
  std::string buffer_;
  std::optional<OutputFile> file_;
};

}  // namespace ovid::data_tools::duplicates
