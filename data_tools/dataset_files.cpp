#include "data_tools/dataset_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>

#include "data_tools/byte_source.h"
#include "data_tools/interruption.h"
#include "data_tools/output_folder.h"
#include "data_tools/work_pool.h"
#include "data_tools/work_record.h"
#include "src/core/checksum.h"
#include "src/core/error.h"
#include "src/core/log.h"
#include "src/data/token_shard.h"

namespace ovid::data_tools {

using nlohmann::ordered_json;

bool is_dataset_file(const std::string& name) {
  if (name == "dataset.json" || name == "tokenizer") return true;
  if (name == "passport.json" || name == "passport.html") return true;
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

std::size_t threads_for(int asked) {
  constexpr int kMostThreads = 1024;
  if (asked < 0 || asked > kMostThreads) {
    throw UsageError(fmt::format("--threads {} is outside 0 to {} (0: all of this process's cores)",
                                 asked, kMostThreads));
  }
  return asked == 0 ? WorkPool::cores() : static_cast<std::size_t>(asked);
}

namespace {

// After whatever ended the work: keeps the folder where there is a record to go on from.
bool keep_work(OutputFolder& folder) {
  if (!std::filesystem::exists(folder.working_path() / WorkRecord::kName)) return false;
  folder.keep();
  log::info(
      fmt::format("the work so far is kept in {}; the same command goes on, --restart begins anew",
                  folder.working_path().string()));
  return true;
}

void fill_or_keep(OutputFolder& folder, const std::function<void(const Path&)>& fill) {
  try {
    fill(folder.working_path());
  } catch (Interrupted& interrupted) {
    interrupted.progress_kept = keep_work(folder);
    throw;
  } catch (const Error&) {
    keep_work(folder);
    throw;
  }
}

}  // namespace

void write_dataset(const DatasetOutput& output, const std::function<void(const Path&)>& fill,
                   const std::function<void(const std::string&, const Path&)>& report) {
  OutputFolder folder({.path = output.path,
                       .marker = "dataset.json",
                       .belongs = is_dataset_file,
                       .overwrite = output.overwrite,
                       .journal = WorkRecord::kName,
                       .restart = output.restart});
  if (!folder.only_commit_is_left()) fill_or_keep(folder, fill);
  folder.commit();
  const std::string description = read_file(folder.final_path() / "dataset.json");
  report(description, folder.final_path());
  if (output.json) write_output(ordered_json::parse(description).dump() + "\n");
}

void report_end(const std::string& description, const Path& folder) {
  const ordered_json replaced = ordered_json::parse(description)["invalid_utf8_replaced"];
  if (replaced != 0)
    log::warning(fmt::format("{} places were not UTF-8 and became U+FFFD", replaced.dump()));
  log::info(fmt::format("written to {}", folder.string()));
}

}  // namespace ovid::data_tools
