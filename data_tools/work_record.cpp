#include "data_tools/work_record.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "src/core/error.h"

namespace ovid::data_tools {
namespace {

using nlohmann::ordered_json;

constexpr const char* kRequestName = "request.json";
constexpr std::uint64_t kMostBytes = 1ull << 30;

std::string dump(const ordered_json& json) {
  return json.dump(1, ' ', false, ordered_json::error_handler_t::replace);
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

std::vector<std::string> differences(const ordered_json& then, const ordered_json& now) {
  std::vector<std::string> found;
  for (const auto& [flag, value] : now.at("settings").items()) {
    const ordered_json before = then.at("settings").value(flag, ordered_json());
    if (before != value)
      found.push_back(fmt::format("{} was {}, now {}", flag, dump(before), dump(value)));
  }
  const ordered_json& inputs_then = then.at("inputs");
  const ordered_json& inputs_now = now.at("inputs");
  if (inputs_then.size() != inputs_now.size()) {
    found.push_back(
        fmt::format("there were {} input files, now {}", inputs_then.size(), inputs_now.size()));
    return found;
  }
  for (std::size_t i = 0; i < inputs_now.size(); ++i) {
    if (inputs_then[i] == inputs_now[i]) continue;
    found.push_back(fmt::format("input {} was {}, now {} (path, bytes, time of change)", i + 1,
                                inputs_then[i].dump(), inputs_now[i].dump()));
    break;  // what follows is often shifted
  }
  return found;
}

}  // namespace

WorkRecord::WorkRecord(const Path& folder, const std::string& settings,
                       std::span<const InputFile> inputs)
    : folder_(folder),
      request_(dump({{"settings", ordered_json::parse(settings)}, {"inputs", to_json(inputs)}})) {}

std::optional<std::string> WorkRecord::begin() {
  has_record_ = std::filesystem::exists(folder_ / kName);
  if (!has_record_) {
    replace_file(folder_ / kRequestName, request_);
    return std::nullopt;
  }
  try {
    const auto then = ordered_json::parse(read_file(folder_ / kRequestName, kMostBytes));
    const std::vector<std::string> found = differences(then, ordered_json::parse(request_));
    if (!found.empty()) {
      throw UsageError(
          fmt::format("{} holds unfinished work that was begun otherwise: {}; repeat that command, "
                      "or begin anew with --restart",
                      folder_.string(), fmt::join(found, "; ")));
    }
  } catch (const nlohmann::json::exception& error) {
    throw DataError(fmt::format("{} is damaged ({}); begin anew with --restart",
                                (folder_ / kRequestName).string(), error.what()));
  }
  return read_file(folder_ / kName, kMostBytes);
}

void WorkRecord::record(const std::string& progress) {
  replace_file(folder_ / kName, progress);
  has_record_ = true;
}

void WorkRecord::remove_files(const Path& folder) {
  std::filesystem::remove(folder / kName);
  std::filesystem::remove(folder / kRequestName);
}

}  // namespace ovid::data_tools
