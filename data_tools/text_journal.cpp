#include "data_tools/text_journal.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "src/core/error.h"

namespace ovid::data_tools {
namespace {

using nlohmann::ordered_json;

constexpr int kFormatVersion = 1;
constexpr const char* kRequestName = "request.json";
constexpr std::uint64_t kMostBytes = 4ull << 30;

const char* name_of(InputFormat format) {
  switch (format) {
    case InputFormat::kByName:
      return "auto";
    case InputFormat::kText:
      return "text";
    case InputFormat::kJsonLines:
      return "jsonl";
  }
  return "";
}

// The keys are the flags, for messages.
ordered_json settings_of(const TextOptions& options, std::uint64_t fingerprint) {
  return {{"--field", options.input.field},
          {"--format", name_of(options.input.format)},
          {"--skip-missing", options.input.skip_missing_field},
          {"--bad-lines", options.input.skip_bad_lines ? "skip" : "error"},
          {"--tokenizer", fmt::format("{:016x}", fingerprint)},
          {"--validation-fraction", options.split.validation_fraction},
          {"--seed", options.split.seed},
          {"--shard-tokens", options.split.shard_tokens},
          {"--invalid-utf8", name_of(options.invalid_utf8)}};
}

ordered_json to_json(std::span<const InputFile> inputs) {
  ordered_json list = ordered_json::array();
  for (const InputFile& input : inputs) {
    const std::string path =
        input.path == "-" ? input.path : std::filesystem::absolute(input.path).string();
    list.push_back({path, input.bytes, input.modified_nanoseconds});
  }
  return list;
}

ordered_json to_json(const BuilderState::Part& part) {
  ordered_json json{{"documents", part.documents}, {"bytes", part.bytes}};
  json.update(ordered_json::parse(as_json(part.shards)));
  return json;
}

BuilderState::Part part_from(const ordered_json& json) {
  return {.documents = json.at("documents"),
          .bytes = json.at("bytes"),
          .shards = shard_sequence_state_from(json.dump())};
}

ordered_json to_json(const BuilderState& state) {
  ordered_json json{{"documents", state.documents},
                    {"train", to_json(state.train)},
                    {"validation", to_json(state.validation)}};
  if (state.spool) {
    json["waiting"] = {state.spool->documents, state.spool->tokens, state.spool->last_tokens,
                       state.spool->last_bytes};
  }
  return json;
}

BuilderState builder_from(const ordered_json& json) {
  BuilderState state{.documents = json.at("documents"),
                     .spool = {},
                     .train = part_from(json.at("train")),
                     .validation = part_from(json.at("validation"))};
  if (const auto waiting = json.find("waiting"); waiting != json.end()) {
    state.spool = DocumentSpoolState{.documents = waiting->at(0),
                                     .tokens = waiting->at(1),
                                     .last_tokens = waiting->at(2),
                                     .last_bytes = waiting->at(3)};
  }
  return state;
}

ordered_json to_json(const SeenBefore& seen) {
  return {{"bytes", seen.bytes},
          {"documents", seen.documents},
          {"empty_documents", seen.empty_documents},
          {"files", seen.walked.files},
          {"lines_without_field", seen.walked.lines_without_field},
          {"replaced_in_lines", seen.walked.replaced_in_lines},
          {"bad_lines", seen.walked.bad_lines},
          {"first_bad_line", seen.walked.first_bad_line}};
}

SeenBefore seen_from(const ordered_json& json) {
  return {.bytes = json.at("bytes"),
          .documents = json.at("documents"),
          .empty_documents = json.at("empty_documents"),
          .walked = {.files = json.at("files"),
                     .lines_without_field = json.at("lines_without_field"),
                     .replaced_in_lines = json.at("replaced_in_lines"),
                     .bad_lines = json.at("bad_lines"),
                     .first_bad_line = json.at("first_bad_line")}};
}

ordered_json to_json(const TextProgress& progress) {
  return {{"format_version", kFormatVersion},
          {"input", progress.place.input},
          {"pieces", progress.place.pieces},
          {"hash", progress.place.hash},
          {"inputs_done", progress.inputs_done},
          {"data_error", progress.data_error},
          {"replacements", progress.replacements},
          {"documents", progress.documents},
          {"bytes", progress.bytes},
          {"before", to_json(progress.before)},
          {"builder", to_json(progress.builder)}};
}

TextProgress progress_from(const ordered_json& json) {
  return {
      .place = {.input = json.at("input"), .pieces = json.at("pieces"), .hash = json.at("hash")},
      .before = seen_from(json.at("before")),
      .inputs_done = json.at("inputs_done"),
      .data_error = json.value("data_error", false),
      .replacements = json.at("replacements"),
      .documents = json.at("documents"),
      .bytes = json.at("bytes"),
      .builder = builder_from(json.at("builder"))};
}

ordered_json parse(const Path& path) {
  ordered_json json = ordered_json::parse(read_file(path, kMostBytes), nullptr, false);
  if (!json.is_object() || json.value("format_version", 0) != kFormatVersion) {
    throw DataError(
        fmt::format("{} is damaged, or of another version of ovid-data; begin anew with --restart",
                    path.string()));
  }
  return json;
}

std::string describe(const ordered_json& input) {
  return fmt::format("{} ({} bytes)", input.at(0).get<std::string>(),
                     input.at(1).get<std::uint64_t>());
}

// Whether `flag` now lets data pass that ended the run then: none of what was taken is affected,
// for it had no such data.
bool lets_more_pass(const std::string& flag, const ordered_json& then) {
  return ((flag == "--bad-lines" || flag == "--invalid-utf8") && then == "error") ||
         (flag == "--skip-missing" && then == false);
}

// `progress`: what is on record.
std::vector<std::string> differences(const ordered_json& then, const ordered_json& now,
                                     const TextProgress& progress) {
  std::vector<std::string> found;
  for (const auto& [flag, value] : now.at("settings").items()) {
    const ordered_json before = then.at("settings").value(flag, ordered_json());
    if (before != value && !(progress.data_error && lets_more_pass(flag, before))) {
      found.push_back(fmt::format("{} was {}, now {}", flag, before.dump(), value.dump()));
    }
  }
  const ordered_json& inputs_then = then.at("inputs");
  const ordered_json& inputs_now = now.at("inputs");
  if (inputs_then.size() != inputs_now.size()) {
    found.push_back(
        fmt::format("there were {} input files, now {}", inputs_then.size(), inputs_now.size()));
  }
  for (std::size_t i = 0; i < std::min(inputs_then.size(), inputs_now.size()); ++i) {
    if (inputs_then[i] == inputs_now[i]) continue;
    // Of the input of that place itself, what was taken is compared when it is passed over.
    const bool may_be_mended = progress.data_error && i >= progress.place.input;
    if (may_be_mended && inputs_then[i].at(0) == inputs_now[i].at(0)) continue;
    if (inputs_then[i].at(0) != inputs_now[i].at(0)) {
      found.push_back(fmt::format("input {} was {}, now {}", i + 1, describe(inputs_then[i]),
                                  describe(inputs_now[i])));
    } else {
      found.push_back(fmt::format(
          "{} has changed since: {} bytes then, {} now{}", inputs_now[i].at(0).get<std::string>(),
          inputs_then[i].at(1).get<std::uint64_t>(), inputs_now[i].at(1).get<std::uint64_t>(),
          inputs_then[i].at(1) == inputs_now[i].at(1) ? ", with another time of change" : ""));
    }
    break;  // what follows is often shifted
  }
  return found;
}

}  // namespace

TextJournal::TextJournal(const Path& folder, const TextOptions& options,
                         std::uint64_t tokenizer_fingerprint, std::span<const InputFile> inputs)
    : folder_(folder),
      request_(ordered_json{{"format_version", kFormatVersion},
                            {"settings", settings_of(options, tokenizer_fingerprint)},
                            {"inputs", to_json(inputs)}}
                   .dump(-1, ' ', false, ordered_json::error_handler_t::replace)) {}

std::optional<TextProgress> TextJournal::begin() {
  const Path path = folder_ / kName;
  has_record_ = std::filesystem::exists(path);
  if (!has_record_) {
    replace_file(folder_ / kRequestName, request_);
    return std::nullopt;
  }
  try {
    const ordered_json request = ordered_json::parse(request_);
    const ordered_json request_then = parse(folder_ / kRequestName);
    const TextProgress progress = progress_from(parse(path));
    const std::vector<std::string> found = differences(request_then, request, progress);
    if (!found.empty()) {
      throw UsageError(
          fmt::format("{} holds unfinished work that was begun otherwise: {}; repeat "
                      "that command, or begin anew with --restart",
                      folder_.string(), fmt::join(found, "; ")));
    }
    if (progress.place.input > request.at("inputs").size()) {
      throw DataError(fmt::format("{} is damaged; begin anew with --restart", path.string()));
    }
    if (request_then != request) replace_file(folder_ / kRequestName, request_);
    return progress;
  } catch (const nlohmann::json::exception& error) {
    throw DataError(
        fmt::format("{} is damaged ({}); begin anew with --restart", path.string(), error.what()));
  }
}

void TextJournal::record(const TextProgress& progress) {
  replace_file(folder_ / kName,
               to_json(progress).dump(1, ' ', false, ordered_json::error_handler_t::replace));
  has_record_ = true;
}

void TextJournal::remove() {
  std::filesystem::remove(folder_ / kName);
  std::filesystem::remove(folder_ / kRequestName);
  has_record_ = false;
}

}  // namespace ovid::data_tools
