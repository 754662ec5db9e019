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

// Makes the folder `output` of a data set whole or not at all: `fill` writes everything, with
// dataset.json, into a working folder; `report` is given the text of dataset.json once it is in
// place, and `json` prints it on standard output. Work that is cut off leaves at most a hidden
// folder, which the next run of the same output empties. Throws UsageError where the folder holds a
// data set and `overwrite` is not set.
void write_dataset(
    const std::string& output, bool overwrite, bool json,
    const std::function<void(const Path& folder)>& fill,
    const std::function<void(const std::string& description, const Path& folder)>& report);

}  // namespace ovid::data_tools
