#include "data_tools/dataset_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "data_tools/byte_source.h"
#include "data_tools/output_folder.h"
#include "src/core/checksum.h"
#include "src/core/error.h"
#include "src/data/token_shard.h"

namespace ovid::data_tools {

using nlohmann::ordered_json;

bool is_dataset_file(const std::string& name) {
  if (name == "dataset.json" || name == "tokenizer") return true;
  const bool shard = name.ends_with(".bin") || name.ends_with(".mask");
  return std::any_of(kPartNames.begin(), kPartNames.end(), [&](const std::string part) {
    return (shard && name.starts_with(part + "_")) || name == part + "_reviews.jsonl" ||
           name == "candidates_" + part + ".jsonl";
  });
}

tokenizer::Tokenizer load_shard_tokenizer(const std::string& where) {
  tokenizer::Tokenizer tokenizer = tokenizer::Tokenizer::load(where);
  if (tokenizer.vocabulary_size() > data::kMaxVocabularySize) {
    throw DataError(
        fmt::format("{} has {} tokens, and a shard can hold ids below {} only; use a "
                    "smaller vocabulary",
                    where, tokenizer.vocabulary_size(), data::kMaxVocabularySize));
  }
  if (tokenizer.end_of_text() < 0) {
    throw DataError(
        fmt::format("{} has no <|endoftext|>, which begins each document; use a "
                    "vocabulary with it",
                    where));
  }
  return tokenizer;
}

std::string shards_as_json(const std::vector<data::WrittenShard>& shards) {
  ordered_json list = ordered_json::array();
  for (const data::WrittenShard& shard : shards) {
    list.push_back({{"file", shard.path.filename().string()},
                    {"tokens", shard.tokens},
                    {"bytes", shard.bytes},
                    {"tokens_xxh128", shard.checksum}});
  }
  return list.dump();
}

void check_fractions(const PartFractions& fractions) {
  constexpr double kMost = 0.5;
  for (const double fraction : {fractions.validation, fractions.test}) {
    if (fraction >= 0 && fraction <= kMost) continue;
    throw UsageError(fmt::format(
        "a fraction of {} is outside 0 to {}; see --validation-fraction and --test-fraction",
        fraction, kMost));
  }
}

Part part_of_key(std::string_view key, const PartFractions& fractions) {
  const std::uint64_t hash = hash64(std::as_bytes(std::span(key)), fractions.seed);
  const double place = static_cast<double>(hash >> 11) * 0x1.0p-53;  // in [0, 1)
  if (place < fractions.validation) return Part::kValidation;
  if (place < fractions.validation + fractions.test) return Part::kTest;
  return Part::kTrain;
}

void write_dataset(const std::string& output, bool overwrite, bool json,
                   const std::function<void(const Path&)>& fill,
                   const std::function<void(const std::string&, const Path&)>& report) {
  // The journal is never written: its name gives the working folder a name that stays the same, a
  // lock, and a clean start.
  OutputFolder folder({.path = output,
                       .marker = "dataset.json",
                       .belongs = is_dataset_file,
                       .overwrite = overwrite,
                       .journal = "journal.json"});
  if (!folder.only_commit_is_left()) fill(folder.working_path());
  folder.commit();
  const std::string description = read_file(folder.final_path() / "dataset.json");
  report(description, folder.final_path());
  if (json) write_output(ordered_json::parse(description).dump() + "\n");
}

}  // namespace ovid::data_tools
