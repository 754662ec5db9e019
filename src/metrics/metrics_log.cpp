#include "src/metrics/metrics_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "src/core/error.h"
#include "src/core/log.h"
#include "src/metrics/append_whole.h"

namespace ovid::metrics {
namespace {

std::string json_number(double value) {
  if (std::isnan(value)) return "\"nan\"";
  if (std::isinf(value)) return value > 0 ? "\"inf\"" : "\"-inf\"";
  return fmt::format("{}", value);
}

std::string json_string(const std::string& text) {
  using nlohmann::json;
  return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

// Where the last whole row ends; nothing for what is not a regular file, or cannot be read.
std::optional<off_t> end_of_last_row(int descriptor, off_t size) {
  char buffer[1 << 16];
  off_t end = size;
  while (end > 0) {
    const off_t begin = std::max<off_t>(0, end - static_cast<off_t>(sizeof buffer));
    const ssize_t count = ::pread(descriptor, buffer, static_cast<std::size_t>(end - begin), begin);
    if (count < 0 && errno == EINTR) continue;
    if (count != end - begin) return std::nullopt;
    const std::size_t newline =
        std::string_view(buffer, static_cast<std::size_t>(count)).rfind('\n');
    if (newline != std::string_view::npos) return begin + static_cast<off_t>(newline) + 1;
    end = begin;
  }
  return 0;
}

void cut_torn_row(int descriptor, const Path& path) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) return;
  const std::optional<off_t> end = end_of_last_row(descriptor, status.st_size);
  if (!end || *end == status.st_size) return;
  if (::ftruncate(descriptor, *end) == 0) {
    log::info(fmt::format("{} ended inside a row: {} bytes of it cut off", path.string(),
                          status.st_size - *end));
  } else {
    log::warning(fmt::format("{} ends inside a row that cannot be cut off: {}", path.string(),
                             std::strerror(errno)));
  }
}

}  // namespace

std::string to_json(const StepRow& row) {
  std::string optional;
  if (row.flops_per_second) {
    optional += fmt::format(R"("flops_per_second":{},)", json_number(*row.flops_per_second));
  }
  if (row.slowest_rank) optional += fmt::format(R"("slowest_rank":{},)", *row.slowest_rank);
  if (row.slowest_rank_score) {
    optional += fmt::format(R"("slowest_rank_score":{},)", json_number(*row.slowest_rank_score));
  }
  return fmt::format(R"({{"step":{},"loss":{},"gradient_norm":{},"learning_rate":{},)"
                     R"("tokens":{},"tokens_per_second":{},{}"time":{}}})",
                     row.step, json_number(row.loss), json_number(row.gradient_norm),
                     json_number(row.learning_rate), row.tokens, json_number(row.tokens_per_second),
                     optional, json_number(row.time));
}

std::string to_json(const ValidationRow& row) {
  const std::string average = row.average_validation_loss
                                  ? fmt::format(R"("average_validation_loss":{},)",
                                                json_number(*row.average_validation_loss))
                                  : "";
  return fmt::format(
      R"({{"step":{},"validation_loss":{},{}"tokens":{},"validation_tokens":{},"time":{}}})",
      row.step, json_number(row.validation_loss), average, row.tokens, row.validation_tokens,
      json_number(row.time));
}

std::string to_json(const EventRow& row) {
  return fmt::format(R"({{"step":{},"event":{},"message":{},"time":{}}})", row.step,
                     json_string(row.event), json_string(row.message), json_number(row.time));
}

double now() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<double>(std::chrono::duration_cast<std::chrono::milliseconds>(since).count()) /
         1e3;
}

MetricsLog::MetricsLog(const Path& path) : path_(path) {
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor_ < 0) {
    throw ResourceError(fmt::format(
        "cannot write {}: {}; make the folder writable, or choose another run.directory",
        path.string(), std::strerror(errno)));
  }
  cut_torn_row(descriptor_, path);
}

MetricsLog::~MetricsLog() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void MetricsLog::append(const StepRow& row) {
  append_line(to_json(row));
}
void MetricsLog::append(const ValidationRow& row) {
  append_line(to_json(row));
}
void MetricsLog::append(const EventRow& row) {
  append_line(to_json(row));
}

void MetricsLog::append_line(const std::string& json) {
  // A rest of a row that could not be cut off is at least kept apart from this one.
  const std::string line = (torn_ ? "\n" : "") + json + "\n";
  const AppendResult result = append_whole(descriptor_, line);
  if (result == AppendResult::kWritten) {
    torn_ = false;
    if (failing_)
      log::warning(fmt::format("{} takes rows again; {} are lost", path_.string(), dropped_rows_));
    failing_ = false;
    return;
  }
  const int reason = errno;
  ++dropped_rows_;
  if (result == AppendResult::kTorn) torn_ = true;
  if (!failing_) {
    log::warning(fmt::format(
        "cannot write {}: {}; training goes on, and its rows are dropped until that is cured",
        path_.string(), std::strerror(reason)));
  }
  failing_ = true;
}

}  // namespace ovid::metrics
