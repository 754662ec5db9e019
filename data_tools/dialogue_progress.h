#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "data_tools/dataset_files.h"
#include "data_tools/shard_sequence.h"

namespace ovid::data_tools {

// How far `ovid-data persona-chat` is, beside its files: behind so many dialogues of its inputs.
// What is known of those is found again by reading them.
struct DialogueProgress {
  struct Part {
    ShardSequenceState shards;
    std::uint64_t candidate_bytes = 0;  // of the file of candidates
    std::uint64_t replies = 0;
    std::uint64_t documents = 0;
    std::uint64_t candidate_lists = 0;
    std::int64_t counted_tokens = 0;
  };
  std::uint64_t dialogues = 0;  // repeated ones included
  std::uint64_t hash = 0;       // of their texts
  std::array<Part, kPartNames.size()> parts;
};

std::string to_json(const DialogueProgress& progress);
// Throws DataError, with the cure, for what to_json did not write.
DialogueProgress dialogue_progress_from(const std::string& json);

}  // namespace ovid::data_tools
