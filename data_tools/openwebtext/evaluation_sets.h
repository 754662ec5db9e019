#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data_tools/openwebtext/ledger.h"
#include "data_tools/overlap/evaluation_overlap.h"

namespace ovid::data_tools::openwebtext {

struct EvaluationSets {
  std::unique_ptr<overlap::EvaluationOverlap> overlap;  // ready; null where there are no sets
  std::vector<InputRecord> files;
};

// Reads evaluation sets, each file one (folders: each file in them), named after the file: JSON
// lines and arrays (all strings of a record), XML (without its tags), anything else as one text;
// compressed or in archives too. Throws DataError where a file cannot be read, UsageError for more
// than 64 files or one without a run of 8 words.
EvaluationSets load_evaluation_sets(const std::vector<std::string>& paths);

}  // namespace ovid::data_tools::openwebtext
