#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "src/checkpoint/manifest.h"
#include "src/checkpoint/run_checkpoint.h"
#include "src/core/file.h"

// How the ranks that write one checkpoint tell each other of it: each but rank 0 leaves a record in
// the pending folder when its files are durable, or when it failed; rank 0 waits for all, commits
// or drops the whole, and the others see which by the folder's name.
namespace ovid::checkpoint {

// Says "waited long enough" to all waits of one save. From any thread.
using Hurry = std::atomic<bool>;

// Looks until `done`, at most `seconds`; some seconds at most from when `hurry` is set. False where
// the time ran out.
bool wait_for(const std::function<bool()>& done, double seconds, const Hurry* hurry);

// What a rank wrote. Names are files, or "FILE@begin:end" for bytes of a file that several ranks
// write.
struct RankRecord {
  std::map<std::string, WrittenFile> files;
  std::string failure;  // why its part could not be written; empty: it was
};

// Leaves the record of a rank in `pending`, durably. Throws ResourceError.
void leave_record(const Path& pending, std::int64_t step, const WritingRanks& ranks,
                  const RankRecord& record);

// Waits for the records of all other ranks, takes them out of `pending`, and returns what they
// wrote, merged with `own`: a range of bytes of a file becomes the file when all its ranges are
// there, each once, and its bytes are read again and have the hashes of those who wrote them.
// Throws ResourceError naming the first rank that failed, does not come, or wrote something else.
std::map<std::string, WrittenFile> collect_records(const Path& pending, std::int64_t step,
                                                   const WritingRanks& ranks,
                                                   const std::map<std::string, WrittenFile>& own,
                                                   const Hurry* hurry);

}  // namespace ovid::checkpoint
