#include "src/metrics/metrics_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <simdjson.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <limits>
#include <string_view>
#include <utility>

#include "src/core/error.h"

namespace ovid::metrics {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kMostMessageBytes = 4096;

// NaN for what is neither a number nor one of MetricsLog's words for what is not finite.
double number(const dom::object& row, std::string_view key) {
  double value = 0.0;
  if (row[key].get(value) == simdjson::SUCCESS) return value;
  std::string_view word;
  if (row[key].get(word) == simdjson::SUCCESS) {
    if (word == "inf") return std::numeric_limits<double>::infinity();
    if (word == "-inf") return -std::numeric_limits<double>::infinity();
  }
  return std::numeric_limits<double>::quiet_NaN();
}

std::int64_t count(const dom::object& row, std::string_view key) {
  std::int64_t value = 0;
  return row[key].get(value) == simdjson::SUCCESS ? std::max<std::int64_t>(0, value) : 0;
}

bool holds(const dom::object& row, std::string_view key) {
  return row[key].error() == simdjson::SUCCESS;
}

// Rows of one kind, ascending in step, at most `limit` of them.
template <class Row>
class ThinnedRows {
 public:
  explicit ThinnedRows(std::size_t limit) : limit_(std::max<std::size_t>(limit, 4)) {}

  void add(const Row& row) {
    while (!rows_.empty() && rows_.back().step >= row.step) rows_.pop_back();
    if (!rows_.empty() && rows_.back().step % stride_ != 0) rows_.pop_back();
    rows_.push_back(row);
    constexpr std::int64_t kWidest = std::int64_t{1} << 62;
    while (rows_.size() > limit_ && stride_ < kWidest) {
      stride_ *= 2;
      const std::int64_t newest = row.step;
      std::erase_if(rows_, [&](const Row& r) { return r.step % stride_ != 0 && r.step != newest; });
    }
  }
  std::vector<Row> take() { return std::move(rows_); }
  std::int64_t stride() const { return stride_; }

 private:
  std::size_t limit_;
  std::int64_t stride_ = 1;
  std::vector<Row> rows_;
};

class HistoryReader {
 public:
  explicit HistoryReader(const ReadLimits& limits)
      : limits_(limits),
        parser_(limits.line_bytes),
        steps_(limits.rows),
        validations_(limits.rows) {}

  // A line of at most limits.line_bytes.
  void read_line(std::string_view line) {
    line_.assign(line);
    line_.reserve(line.size() + simdjson::SIMDJSON_PADDING);
    dom::object row;
    std::int64_t step = 0;
    if (parser_.parse(line_.data(), line_.size(), false).get(row) != simdjson::SUCCESS ||
        row["step"].get(step) != simdjson::SUCCESS || step < 0) {
      ++history_.ignored_lines;
      return;
    }
    read_row(row, step);
  }
  void ignore_line() { ++history_.ignored_lines; }

  MetricsHistory take() {
    history_.stride = steps_.stride();
    history_.steps = steps_.take();
    history_.validations = validations_.take();
    history_.events.assign(events_.begin(), events_.end());
    return std::move(history_);
  }

 private:
  void read_row(const dom::object& row, std::int64_t step) {
    std::string_view event, message;
    const double time = number(row, "time");
    if (row["event"].get(event) == simdjson::SUCCESS) {
      if (row["message"].get(message) != simdjson::SUCCESS) message = {};
      ++history_.all_events;
      events_.push_back({step, std::string(event.substr(0, kMostMessageBytes)),
                         std::string(message.substr(0, kMostMessageBytes)), time});
      if (events_.size() > limits_.events) events_.pop_front();
    } else if (holds(row, "validation_loss")) {
      ValidationRow out{step, number(row, "validation_loss"), count(row, "tokens"),
                        count(row, "validation_tokens"), time};
      if (holds(row, "average_validation_loss"))
        out.average_validation_loss = number(row, "average_validation_loss");
      validations_.add(out);
    } else if (holds(row, "loss")) {
      StepRow out{step,
                  number(row, "loss"),
                  number(row, "gradient_norm"),
                  number(row, "learning_rate"),
                  count(row, "tokens"),
                  number(row, "tokens_per_second"),
                  time};
      if (holds(row, "flops_per_second")) out.flops_per_second = number(row, "flops_per_second");
      steps_.add(out);
    } else {
      ++history_.ignored_lines;
    }
  }

  ReadLimits limits_;
  dom::parser parser_;
  std::string line_;  // with the padding behind it that the parser reads
  ThinnedRows<StepRow> steps_;
  ThinnedRows<ValidationRow> validations_;
  std::deque<EventRow> events_;
  MetricsHistory history_;
};

// Hands the file's lines to a HistoryReader, and never holds more than one of them.
class LineFeeder {
 public:
  LineFeeder(HistoryReader& reader, std::size_t most_bytes)
      : reader_(reader), most_bytes_(most_bytes) {}

  void feed(std::string_view bytes) {
    while (!bytes.empty()) {
      const std::size_t end = std::min(bytes.find('\n'), bytes.size());
      if (!too_long_ && line_.size() + end <= most_bytes_) {
        line_ += bytes.substr(0, end);
      } else {
        too_long_ = true;
      }
      if (end == bytes.size()) return;
      end_line();
      bytes.remove_prefix(end + 1);
    }
  }
  // A last line without its end counts where it is whole all the same.
  void finish() {
    if (!line_.empty() || too_long_) end_line();
  }

 private:
  void end_line() {
    if (too_long_) {
      reader_.ignore_line();
    } else if (!line_.empty()) {
      reader_.read_line(line_);
    }
    line_.clear();
    too_long_ = false;
  }

  HistoryReader& reader_;
  std::size_t most_bytes_;
  std::string line_;
  bool too_long_ = false;
};

class Descriptor {
 public:
  explicit Descriptor(const Path& path) : value_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }

 private:
  int value_;
};

[[noreturn]] void throw_unreadable(const Path& path, int error) {
  const std::string message =
      fmt::format("cannot read {}: {}", path.string(), std::strerror(error));
  if (error == EACCES || error == EIO) throw ResourceError(message);
  throw DataError(message);
}

}  // namespace

// Read in pieces and not mapped: the trainer may cut a torn row off meanwhile, which would end a
// process that has the file mapped.
MetricsHistory read_metrics(const Path& path, const ReadLimits& limits) {
  const Descriptor file(path);
  if (file.get() < 0) throw_unreadable(path, errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw_unreadable(path, errno);
  if (!S_ISREG(status.st_mode))
    throw DataError(fmt::format("cannot read {}: not a regular file", path.string()));
  HistoryReader reader(limits);
  LineFeeder lines(reader, limits.line_bytes);
  std::vector<char> buffer(std::size_t{1} << 18);
  for (;;) {
    const ssize_t bytes = ::read(file.get(), buffer.data(), buffer.size());
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) throw_unreadable(path, errno);
    if (bytes == 0) break;
    lines.feed({buffer.data(), static_cast<std::size_t>(bytes)});
  }
  lines.finish();
  return reader.take();
}

}  // namespace ovid::metrics
