#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "src/core/file.h"

namespace ovid {

// A file that several processes write at once, each its own ranges of bytes. Made where it is
// absent; what others wrote stays. All functions throw ResourceError, naming the path and the
// system's reason.
class RangeFile {
 public:
  explicit RangeFile(const Path& path);
  ~RangeFile();  // closes without a check: call close() where the bytes matter
  RangeFile(const RangeFile&) = delete;
  RangeFile& operator=(const RangeFile&) = delete;

  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  void sync();   // to the disk, what this process wrote
  void close();  // checked

 private:
  Path path_;
  int descriptor_ = -1;
};

}  // namespace ovid
