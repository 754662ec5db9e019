#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data_tools/dataset_files.h"
#include "data_tools/review_counts.h"
#include "data_tools/shard_sequence.h"

namespace ovid::data_tools {

// A place in the inputs: behind so many records of the input of that number.
struct ReviewPlace {
  std::uint64_t input = 0;
  std::uint64_t records = 0;
  std::uint64_t hash = 0;  // of the texts of those records
};

// How far `ovid-data amazon-reviews` is, beside its files.
struct ReviewProgress {
  // Of the reading, whose reviews wait in the first spool_bytes bytes of the spool.
  ReviewPlace place;
  bool inputs_done = false;
  std::uint64_t spool_bytes = 0;
  ReviewCounts read, with_text;
  std::vector<std::string> categories;  // by number
  std::uint64_t replaced = 0;           // places that were not UTF-8
  std::uint64_t bad_lines = 0;
  std::vector<std::string> first_bad_lines;

  // Of the writing, once that has begun.
  struct Part {
    ShardSequenceState shards;
    std::uint64_t row_bytes = 0;  // of the file of held-out texts
  };
  struct Writing {
    std::uint64_t reviews = 0;  // of the spool, that were passed
    std::array<Part, kPartNames.size()> parts;
  };
  std::optional<Writing> writing;
};

std::string to_json(const ReviewProgress& progress);
// Throws DataError, with the cure, for what to_json did not write.
ReviewProgress review_progress_from(const std::string& json);

}  // namespace ovid::data_tools
