#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/core/file.h"

// The held-out texts that ovid-data keeps beside the shards (docs/formats.md).
namespace ovid::evaluation {

struct HeldOutReview {
  int stars = 0;         // 1 to 5
  std::string category;  // may be empty
  std::string headline;  // may be empty
  std::string text;      // the body
};

struct DialogueTurn {
  std::int64_t dialogue = 0;
  std::string context;                  // lines up to the control word of the reply
  std::vector<std::string> candidates;  // at least two
  std::size_t gold = 0;                 // the place of the human reply among them
};

// Throws DataError unless dataset.json in `folder` says that it is of `kind` ("amazon-reviews").
void check_dataset_kind(const Path& folder, std::string_view kind);

// The reviews of validation_reviews.jsonl or test_reviews.jsonl by `part`; none where there is no
// such file. Throws DataError, with file and line, for what is no review.
std::vector<HeldOutReview> read_held_out_reviews(const Path& folder, const std::string& part);

// The turns of candidates_validation.jsonl or candidates_test.jsonl. Throws DataError where the
// file is absent or empty, and, with file and line, for what is no turn.
std::vector<DialogueTurn> read_dialogue_turns(const Path& folder, const std::string& part);

}  // namespace ovid::evaluation
