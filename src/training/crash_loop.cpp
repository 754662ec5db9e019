#include "src/training/crash_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "src/core/checksum.h"
#include "src/core/log.h"

namespace ovid::training {
namespace {

using nlohmann::json;

struct Starts {
  int without_progress = 0;
  std::int64_t best_step = 0;
  std::string config;
};

// A field of a file that anybody may have written: nothing where it is no count.
std::int64_t count_of(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_integer()) return 0;
  return std::max<std::int64_t>(found->get<std::int64_t>(), 0);
}

Starts read_starts(const Path& file) {
  constexpr std::uint64_t kMostBytes = 1 << 16;
  if (!std::filesystem::exists(file)) return {};
  const json object = json::parse(read_file(file, kMostBytes), nullptr, false);
  if (!object.is_object()) return {};
  Starts starts;
  starts.without_progress =
      static_cast<int>(std::min<std::int64_t>(count_of(object, "starts_without_progress"), 1000));
  starts.best_step = count_of(object, "best_step");
  const auto config = object.find("config");
  if (config != object.end() && config->is_string()) starts.config = config->get<std::string>();
  return starts;
}

// The highest step in the last part of metrics.jsonl, which may hold gigabytes.
std::int64_t newest_step(const Path& metrics) {
  constexpr std::size_t kTail = std::size_t{1} << 18;
  if (!std::filesystem::exists(metrics) || std::filesystem::file_size(metrics) == 0) return 0;
  const MappedFile file(metrics);
  std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  if (text.size() > kTail) text.remove_prefix(text.size() - kTail);
  std::int64_t newest = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const json row = json::parse(text.substr(0, end), nullptr, false);
    if (row.is_object() && row.contains("loss")) newest = std::max(newest, count_of(row, "step"));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return newest;
}

}  // namespace

CrashLoopBreaker::CrashLoopBreaker(const Options& options)
    : file_(options.file), config_hash_(checksum_of(std::as_bytes(std::span(options.config)))) {
  const Starts before = read_starts(file_);
  best_step_ = std::max(before.best_step, newest_step(options.metrics));
  const int starts = before.config == config_hash_ ? before.without_progress : 0;
  if (options.most_starts > 0 && starts >= options.most_starts) {
    throw DoNotRequeueError(fmt::format(
        "{} starts in a row died before they got beyond step {}: another would end in the same "
        "way. See what ended them (log.txt and flight/ beside {}), change the config or cure the "
        "machine, then delete {} and start again",
        starts, best_step_, file_.string(), file_.string()));
  }
  if (options.most_starts > 0 && starts > 0) {
    log::warning(fmt::format(
        "start {} in a row without a step beyond {}; after {} the run is not started again",
        starts + 1, best_step_, options.most_starts));
  }
  make_directories(file_.parent_path());
  write(starts + 1);
}

void CrashLoopBreaker::note_step(std::int64_t step) {
  if (step <= best_step_) return;
  best_step_ = step;
  if (reset_) return;
  reset_ = true;
  write_or_warn(0);
}

void CrashLoopBreaker::note_orderly_end() {
  write_or_warn(0);
}

void CrashLoopBreaker::write_or_warn(int starts) {
  try {
    write(starts);
  } catch (const Error& e) {
    log::warning(fmt::format("starts are not counted: {}", e.what()));
  }
}

void CrashLoopBreaker::write(int starts) {
  const json object{
      {"starts_without_progress", starts}, {"best_step", best_step_}, {"config", config_hash_}};
  replace_file(file_, object.dump(2) + "\n");
}

}  // namespace ovid::training
