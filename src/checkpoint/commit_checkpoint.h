#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/checkpoint/rank_records.h"
#include "src/checkpoint/run_checkpoint.h"

// The two halves of write_checkpoint, for callers that run them on different threads.
namespace ovid::checkpoint {

// Throws for what write_checkpoint throws before it touches the disk: UsageError for the retention,
// std::logic_error for a step or tensors that make no checkpoint.
void check_content(std::int64_t step, const CheckpointContent& content, const Retention& retention);

struct CommittedCheckpoint {
  Path path;
  std::vector<std::string> warnings;  // of `latest` and pruning, which come after the commit
};

// Writes and commits a content that check_content has passed; with several ranks, this one's share
// of that. Throws as write_checkpoint. `hurry`, where given, ends its waits for other ranks soon
// after it is set.
CommittedCheckpoint commit_checkpoint(const Path& run_directory, std::int64_t step,
                                      const CheckpointContent& content, const Retention& retention,
                                      const Hurry* hurry = nullptr);

}  // namespace ovid::checkpoint
