#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "src/core/file.h"

namespace ovid::data {

inline constexpr std::int64_t kDatasetFormatVersion = 1;

// What `dataset.json` beside the shards says to a training run. ovid-data writes the file.
struct DatasetDescription {
  std::string
      tokenizer;  // a path, made absolute or relative to the working directory, or the word "bytes"
  std::int64_t vocabulary_size = 0;
  std::int64_t end_of_text = 0;
};

// Reads `dataset.json` in the folder of `shard`; nothing where there is none. Throws DataError
// where the file is not such a description (bad JSON, absent or wrong fields, a newer format
// version).
std::optional<DatasetDescription> describe_dataset_of(const Path& shard);

}  // namespace ovid::data
