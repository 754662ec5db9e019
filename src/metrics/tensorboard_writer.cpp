#include "src/metrics/tensorboard_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstring>

#include "src/core/log.h"
#include "src/metrics/append_whole.h"
#include "src/metrics/event_record.h"
#include "src/metrics/utf8.h"

namespace ovid::metrics {
namespace {

std::string host_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0) return "unknown-host";
  for (char* c = name; *c != '\0'; ++c) {
    if (std::isalnum(static_cast<unsigned char>(*c)) == 0 && *c != '-' && *c != '.') *c = '_';
  }
  return name;
}

// Markdown's form for text that is to be left as it is.
std::string code_block(std::string_view text) {
  std::string out = "    ";
  for (const char c : text) {
    out += c;
    if (c == '\n') out += "    ";
  }
  return out;
}

}  // namespace

TensorBoardWriter::TensorBoardWriter(const Path& run_directory, double start_time,
                                     std::int64_t first_step)
    : directory_(run_directory),
      head_(event_record(file_version_event(start_time)) +
            event_record(session_start_event(start_time, first_step))),
      start_time_(start_time) {}

TensorBoardWriter::~TensorBoardWriter() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void TensorBoardWriter::scalar(std::string_view tag, std::int64_t step, double value, double time) {
  const TaggedScalar one{tag, value};
  scalars(step, {&one, 1}, time);
}

void TensorBoardWriter::scalars(std::int64_t step, std::span<const TaggedScalar> values,
                                double time) {
  write_event(scalars_event(time, step, values));
}

void TensorBoardWriter::text(std::string_view tag, std::int64_t step, std::string_view text,
                             double time) {
  write_event(text_event(time, step, tag, code_block(valid_utf8(text))));
}

void TensorBoardWriter::hyperparameters(const std::map<std::string, HyperparameterValue>& values,
                                        std::string_view group, double time) {
  write_event(hyperparameters_event(time, values, group));
}

void TensorBoardWriter::finish(SessionStatus status, double time) {
  write_event(session_end_event(time, status));
}

bool TensorBoardWriter::open_file() {
  constexpr int kMostFiles = 1000;  // of one process and second
  const std::string host = host_name();
  for (int n = 0; n < kMostFiles; ++n) {
    path_ = directory_ / fmt::format("events.out.tfevents.{:010}.{}.{}.{}",
                                     static_cast<std::int64_t>(start_time_), host, ::getpid(), n);
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
    if (descriptor_ >= 0) {
      empty_ = true;
      return true;
    }
    if (errno != EEXIST) return false;
  }
  return false;
}

void TensorBoardWriter::write_event(std::string_view event) {
  if (descriptor_ < 0 && !open_file()) return drop(errno);
  const std::string record = event_record(event);
  switch (append_whole(descriptor_, empty_ ? head_ + record : record)) {
    case AppendResult::kTorn: {
      // No reader gets past a torn record: what follows goes to another file.
      const int reason = errno;
      ::close(descriptor_);
      descriptor_ = -1;
      return drop(reason);
    }
    case AppendResult::kTakenBack:
      return drop(errno);
    case AppendResult::kWritten:
      break;
  }
  empty_ = false;
  if (failing_) {
    log::warning(
        fmt::format("{} takes records again; {} are lost", path_.string(), dropped_records_));
  }
  failing_ = false;
}

void TensorBoardWriter::drop(int reason) {
  ++dropped_records_;
  if (!failing_) {
    log::warning(
        fmt::format("cannot write {}: {}; training goes on without TensorBoard's records "
                    "until that is cured",
                    path_.string(), std::strerror(reason)));
  }
  failing_ = true;
}

}  // namespace ovid::metrics
