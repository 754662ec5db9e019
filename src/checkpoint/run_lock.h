#pragma once

#include <string>

#include "src/core/file.h"

namespace ovid::checkpoint {

// The right to write a run's directory, held until destruction: an advisory lock on RUN/LOCK, which
// then holds "host:pid:boot-id". Makes the directory where it is absent. Throws ResourceError
// naming the holder where another process holds the lock. A lock left by a process that ended is
// taken over, with a warning, since some network file systems do not carry locks from host to host.
class RunLock {
 public:
  explicit RunLock(const Path& run_directory);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  Path path_;
  FileLock lock_;
};

}  // namespace ovid::checkpoint
