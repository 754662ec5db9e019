#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "src/data/shard_writer.h"
#include "src/tokenizer/tokenizer.h"

// What the commands that write data sets share.
namespace ovid::data_tools {

// Whether a name in an output folder is part of a data set, of whichever command.
bool is_dataset_file(const std::string& name);

// A tokenizer that shards can be written with. Throws DataError where its ids do not fit, or it has
// no <|endoftext|>.
tokenizer::Tokenizer load_shard_tokenizer(const std::string& where);

// The list `shards` of dataset.json, as JSON.
std::string shards_as_json(const std::vector<data::WrittenShard>& shards);

// The parts of a data set, in the order of their names' use.
enum class Part { kTrain, kValidation, kTest };
inline constexpr std::array<const char*, 3> kPartNames{"train", "validation", "test"};

struct PartFractions {
  double validation = 0.05;
  double test = 0.05;
  std::uint64_t seed = 1337;
};

// Throws UsageError where a fraction is outside 0 to 0.5.
void check_fractions(const PartFractions& fractions);

// The part that everything of `key` (a product, a conversation) belongs to: a pure function.
Part part_of_key(std::string_view key, const PartFractions& fractions);

// The threads to work with: `asked`, or all cores of this process for 0. Throws UsageError for a
// number outside 0 to 1024.
std::size_t threads_for(int asked);

struct DatasetOutput {
  std::string path;
  bool overwrite = false;
  bool restart = false;  // forget unfinished work of the same output
  bool json = false;     // dataset.json on standard output
};

// Makes the folder of a data set whole or not at all: `fill` writes everything, with dataset.json,
// into a working folder; `report` is given the text of dataset.json once it is in place. Work that
// is cut off leaves a hidden folder: with a WorkRecord the next run of the same output goes on from
// it (a signal then leaves Interrupted with progress_kept), without one it is emptied. Throws
// UsageError where the folder holds a data set and `overwrite` is not set.
void write_dataset(
    const DatasetOutput& output, const std::function<void(const Path& folder)>& fill,
    const std::function<void(const std::string& description, const Path& folder)>& report);

// The last lines of a report on the data set whose dataset.json is `description`: places that were
// not UTF-8, and the folder.
void report_end(const std::string& description, const Path& folder);

}  // namespace ovid::data_tools
