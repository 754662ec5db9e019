#include "data_tools/dialogue_progress.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "src/core/error.h"

namespace ovid::data_tools {
namespace {

using nlohmann::ordered_json;

constexpr int kFormatVersion = 1;

ordered_json to_json(const DialogueProgress::Part& part) {
  ordered_json json = ordered_json::parse(as_json(part.shards));
  json["candidate_bytes"] = part.candidate_bytes;
  json["replies"] = part.replies;
  json["documents"] = part.documents;
  json["candidate_lists"] = part.candidate_lists;
  json["counted_tokens"] = part.counted_tokens;
  return json;
}

DialogueProgress::Part part_from(const ordered_json& json) {
  return {.shards = shard_sequence_state_from(json.dump()),
          .candidate_bytes = json.at("candidate_bytes"),
          .replies = json.at("replies"),
          .documents = json.at("documents"),
          .candidate_lists = json.at("candidate_lists"),
          .counted_tokens = json.at("counted_tokens")};
}

}  // namespace

std::string to_json(const DialogueProgress& progress) {
  ordered_json parts = ordered_json::array();
  for (const DialogueProgress::Part& part : progress.parts) parts.push_back(to_json(part));
  return ordered_json{{"format_version", kFormatVersion},
                      {"dialogues", progress.dialogues},
                      {"hash", progress.hash},
                      {"parts", std::move(parts)}}
      .dump(1);
}

DialogueProgress dialogue_progress_from(const std::string& json) {
  try {
    const auto parsed = ordered_json::parse(json);
    if (parsed.at("format_version") == kFormatVersion) {
      DialogueProgress progress{
          .dialogues = parsed.at("dialogues"), .hash = parsed.at("hash"), .parts = {}};
      for (std::size_t i = 0; i < progress.parts.size(); ++i)
        progress.parts[i] = part_from(parsed.at("parts").at(i));
      return progress;
    }
  } catch (const nlohmann::json::exception& error) {
    throw DataError(fmt::format(
        "the record of unfinished work is damaged ({}); begin anew with --restart", error.what()));
  }
  throw DataError(
      "the record of unfinished work is of another version of ovid-data; begin anew with "
      "--restart");
}

}  // namespace ovid::data_tools
