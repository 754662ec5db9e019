#pragma once

#include <cstdint>

#include "src/core/file.h"
#include "src/diagnosis/finding.h"

namespace ovid::diagnosis {

// The folder itself where it exists, otherwise its nearest parent that does.
Path nearest_existing(const Path& directory);

Finding check_free_space(const Path& directory, std::uint64_t free_bytes);

// What a disk does with files that must be safe.
struct DiskSpeed {
  double bytes_per_second = 0;    // written and synced
  double sync_seconds = 0;        // median of fsync after 4 KiB
  double clock_skew_seconds = 0;  // the file's time less this machine's
};

// Writes `bytes` (at most a tenth of what is free) and some small pieces into one new file of the
// folder and removes it. Stops early where the disk is slow. Throws ResourceError where the folder
// cannot be written.
DiskSpeed measure_disk(const Path& directory, std::uint64_t bytes);
Findings check_disk_speed(const DiskSpeed& speed);

// Whether a second taker of a lock in the folder is refused, which is what keeps two runs from one
// directory. Makes and removes one file. Throws ResourceError.
bool locks_work(const Path& directory);
Finding check_locks(bool work);

// All of the above for a folder; where it cannot be written that is one bad finding.
Findings check_disk(const Path& run_directory);

}  // namespace ovid::diagnosis
