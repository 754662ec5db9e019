#include "data_tools/openwebtext/journal.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "src/core/error.h"

namespace ovid::data_tools::openwebtext {
namespace {

using nlohmann::ordered_json;

constexpr int kFormatVersion = 1;
constexpr const char* kRequestName = "request.json";
constexpr std::uint64_t kMostBytes = 4ull << 30;

std::string dump(const ordered_json& json) {
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

const char* name_of(InputFormat format) {
  if (format == InputFormat::kText) return "text";
  return format == InputFormat::kJsonLines ? "jsonl" : "auto";
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

std::vector<std::string> differences(const ordered_json& then, const ordered_json& now) {
  std::vector<std::string> found;
  for (const auto& [flag, value] : now.at("settings").items()) {
    const ordered_json before = then.at("settings").value(flag, ordered_json());
    if (before != value) {
      found.push_back(fmt::format("{} was {}, now {}", flag, before.dump(), value.dump()));
    }
  }
  for (const char* files : {"inputs", "evaluation"}) {
    const ordered_json& files_then = then.at(files);
    const ordered_json& files_now = now.at(files);
    if (files_then.size() != files_now.size()) {
      found.push_back(fmt::format("there were {} {} files, now {}", files_then.size(), files,
                                  files_now.size()));
      continue;
    }
    for (std::size_t i = 0; i < files_now.size(); ++i) {
      if (files_then[i] == files_now[i]) continue;
      found.push_back(fmt::format("{} file {} was {}, now {}", files, i + 1, files_then[i].dump(),
                                  files_now[i].dump()));
      break;
    }
  }
  return found;
}

WorkState state_from(const ordered_json& json) {
  return {.phase = static_cast<Phase>(json.at("phase").get<int>()),
          .place = {.input = json.at("input"), .unit = json.at("unit"), .items = json.at("items")},
          .spool = {.documents = json.at("documents"), .bytes = json.at("spool_bytes")},
          .tokens = json.at("tokens"),
          .ledger = Ledger::from_json(json.at("ledger").dump())};
}

}  // namespace

std::string settings_as_json(const Options& options, std::uint64_t tokenizer_fingerprint) {
  const StageSettings& stages = options.stages;
  return dump({{"--field", options.read.field},
               {"--format", name_of(options.read.format)},
               {"--max-document-bytes", options.read.most_document_bytes},
               {"--keep-boilerplate", !stages.remove_boilerplate},
               {"--language", stages.english_only ? "en" : "any"},
               {"--quality", stages.quality == Quality::kGopher ? "gopher" : "length"},
               {"--min-words", stages.min_words},
               {"--max-words", stages.max_words},
               {"--keep-wikipedia", !stages.remove_wikipedia},
               {"--near-duplicates", options.near_duplicate_threshold},
               {"--remove-overlap", options.remove_overlap},
               {"--tokenizer", fmt::format("{:016x}", tokenizer_fingerprint)},
               {"--validation-fraction", options.split.validation_fraction},
               {"--seed", options.split.seed},
               {"--shard-tokens", options.split.shard_tokens},
               {"--samples", options.samples}});
}

Journal::Journal(const Path& folder, const Options& options, std::uint64_t tokenizer_fingerprint,
                 std::span<const InputFile> inputs, std::span<const InputRecord> evaluation)
    : folder_(folder) {
  ordered_json input_list = ordered_json::array();
  for (const InputFile& input : inputs) {
    const std::string path =
        input.path == "-" ? input.path : std::filesystem::absolute(input.path).string();
    input_list.push_back({path, input.bytes, input.modified_nanoseconds});
  }
  ordered_json evaluation_list = ordered_json::array();
  for (const InputRecord& file : evaluation) {
    evaluation_list.push_back({file.path, file.bytes, file.checksum});
  }
  request_ =
      dump({{"format_version", kFormatVersion},
            {"settings", ordered_json::parse(settings_as_json(options, tokenizer_fingerprint))},
            {"inputs", std::move(input_list)},
            {"evaluation", std::move(evaluation_list)}});
}

std::optional<WorkState> Journal::begin() {
  const Path path = folder_ / kName;
  has_record_ = std::filesystem::exists(path);
  if (!has_record_) {
    replace_file(folder_ / kRequestName, request_);
    return std::nullopt;
  }
  try {
    const std::vector<std::string> found =
        differences(parse(folder_ / kRequestName), ordered_json::parse(request_));
    if (!found.empty()) {
      throw UsageError(
          fmt::format("{} holds unfinished work that was begun otherwise: {}; repeat that command, "
                      "or begin anew with --restart",
                      folder_.string(), fmt::join(found, "; ")));
    }
    return state_from(parse(path));
  } catch (const nlohmann::json::exception& error) {
    throw DataError(
        fmt::format("{} is damaged ({}); begin anew with --restart", path.string(), error.what()));
  }
}

void Journal::record(const WorkState& state) {
  replace_file(folder_ / kName, dump({{"format_version", kFormatVersion},
                                      {"phase", static_cast<int>(state.phase)},
                                      {"input", state.place.input},
                                      {"unit", state.place.unit},
                                      {"items", state.place.items},
                                      {"documents", state.spool.documents},
                                      {"spool_bytes", state.spool.bytes},
                                      {"tokens", state.tokens},
                                      {"ledger", ordered_json::parse(state.ledger.to_json())}}));
  has_record_ = true;
}

void Journal::remove() {
  std::filesystem::remove(folder_ / kName);
  std::filesystem::remove(folder_ / kRequestName);
  has_record_ = false;
}

}  // namespace ovid::data_tools::openwebtext
