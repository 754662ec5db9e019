#include "src/data/dataset_description.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "src/core/error.h"
#include "src/data/token_shard.h"

namespace ovid::data {
namespace {

std::int64_t integer_in(const nlohmann::json& object, const char* key, std::int64_t least,
                        std::int64_t most, const Path& path) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_integer()) {
    throw DataError(
        fmt::format("{} lacks the whole number {}; make the data set again", path.string(), key));
  }
  // get() of an unsigned value above 2^63 wraps to a negative one, which the range refuses.
  const auto value = found->get<std::int64_t>();
  if (value < least || value > most) {
    throw DataError(fmt::format("{}: {} = {} is outside {} to {}; make the data set again",
                                path.string(), key, value, least, most));
  }
  return value;
}

}  // namespace

std::optional<DatasetDescription> describe_dataset_of(const Path& shard) {
  const Path path = shard.parent_path() / "dataset.json";
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::nullopt;
  constexpr std::uint64_t kMostBytes = 64 << 20;
  const std::string text = read_file(path, kMostBytes);
  const nlohmann::json object = nlohmann::json::parse(text, nullptr, false);
  if (!object.is_object()) {
    throw DataError(
        fmt::format("{} is not a JSON object; make the data set again, or remove the "
                    "file and name the tokenizer in the config",
                    path.string()));
  }
  integer_in(object, "format_version", kDatasetFormatVersion, kDatasetFormatVersion, path);
  DatasetDescription description;
  description.vocabulary_size = integer_in(object, "vocabulary_size", 1, kMaxVocabularySize, path);
  description.end_of_text =
      integer_in(object, "end_of_text", 0, description.vocabulary_size - 1, path);
  const auto tokenizer = object.find("tokenizer");
  if (tokenizer == object.end() || !tokenizer->is_string()) {
    throw DataError(
        fmt::format("{} lacks the text tokenizer; make the data set again", path.string()));
  }
  description.tokenizer = tokenizer->get<std::string>();
  if (description.tokenizer != "bytes") {
    description.tokenizer = (path.parent_path() / description.tokenizer).string();
  }
  return description;
}

}  // namespace ovid::data
