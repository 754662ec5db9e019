#include "data_tools/review_progress.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "src/core/error.h"

namespace ovid::data_tools {
namespace {

using nlohmann::ordered_json;

constexpr int kFormatVersion = 1;

ReviewCounts counts_from(const ordered_json& json) {
  ReviewCounts counts;
  for (std::size_t stars = 1; stars < counts.stars.size(); ++stars)
    counts.stars[stars] = json.at("stars").at(std::to_string(stars));
  for (const auto& [name, count] : json.at("categories").items()) counts.categories[name] = count;
  return counts;
}

ordered_json to_json(const ReviewProgress::Part& part) {
  ordered_json json = ordered_json::parse(as_json(part.shards));
  json["row_bytes"] = part.row_bytes;
  return json;
}

ReviewProgress::Part part_from(const ordered_json& json) {
  return {.shards = shard_sequence_state_from(json.dump()), .row_bytes = json.at("row_bytes")};
}

ReviewProgress progress_from(const ordered_json& json) {
  ReviewProgress progress;
  progress.place = {
      .input = json.at("input"), .records = json.at("records"), .hash = json.at("hash")};
  progress.inputs_done = json.at("inputs_done");
  progress.spool_bytes = json.at("waiting_bytes");
  progress.read = counts_from(json.at("read"));
  progress.with_text = counts_from(json.at("with_text"));
  progress.categories = json.at("categories").get<std::vector<std::string>>();
  progress.replaced = json.at("replaced");
  progress.bad_lines = json.at("bad_lines");
  progress.first_bad_lines = json.at("first_bad_lines").get<std::vector<std::string>>();
  const auto writing = json.find("writing");
  if (writing == json.end()) return progress;
  ReviewProgress::Writing& state = progress.writing.emplace();
  state.reviews = writing->at("reviews");
  for (std::size_t i = 0; i < state.parts.size(); ++i)
    state.parts[i] = part_from(writing->at("parts").at(i));
  return progress;
}

}  // namespace

std::string to_json(const ReviewProgress& progress) {
  ordered_json json{{"format_version", kFormatVersion},
                    {"input", progress.place.input},
                    {"records", progress.place.records},
                    {"hash", progress.place.hash},
                    {"inputs_done", progress.inputs_done},
                    {"waiting_bytes", progress.spool_bytes},
                    {"read", ordered_json::parse(progress.read.as_json())},
                    {"with_text", ordered_json::parse(progress.with_text.as_json())},
                    {"categories", progress.categories},
                    {"replaced", progress.replaced},
                    {"bad_lines", progress.bad_lines},
                    {"first_bad_lines", progress.first_bad_lines}};
  if (progress.writing) {
    ordered_json parts = ordered_json::array();
    for (const ReviewProgress::Part& part : progress.writing->parts) parts.push_back(to_json(part));
    json["writing"] = {{"reviews", progress.writing->reviews}, {"parts", std::move(parts)}};
  }
  return json.dump(1, ' ', false, ordered_json::error_handler_t::replace);
}

ReviewProgress review_progress_from(const std::string& json) {
  try {
    const auto parsed = ordered_json::parse(json);
    if (parsed.at("format_version") == kFormatVersion) return progress_from(parsed);
  } catch (const nlohmann::json::exception& error) {
    throw DataError(fmt::format(
        "the record of unfinished work is damaged ({}); begin anew with --restart", error.what()));
  }
  throw DataError(
      "the record of unfinished work is of another version of ovid-data; begin anew with "
      "--restart");
}

}  // namespace ovid::data_tools
