#include "data_tools/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "src/core/log.h"

namespace ovid::data_tools {
namespace {

using std::chrono::steady_clock;
constexpr const char* kClearLine = "\r\x1b[K";

void clear_line() {
  fmt::print(stderr, "{}", kClearLine);
}

}  // namespace

Progress::Progress() : Progress(Now{}) {}

Progress::Progress(const Now& resumed)
    : resumed_(resumed),
      start_(steady_clock::now()),
      shown_(start_),
      on_terminal_(::isatty(STDERR_FILENO) == 1) {
  if (on_terminal_) log::set_terminal_hooks(&clear_line, nullptr);
}

Progress::~Progress() {
  if (!on_terminal_) return;
  clear_line();
  log::set_terminal_hooks(nullptr, nullptr);
}

void Progress::update(const Now& now) {
  const auto time = steady_clock::now();
  if (time - shown_ < (on_terminal_ ? std::chrono::milliseconds(200) : std::chrono::seconds(10))) {
    return;
  }
  shown_ = time;
  if (on_terminal_) {
    fmt::print(stderr, "{}{}{}", kClearLine, summary(now), time_left(now));
  } else {
    log::info(summary(now) + time_left(now));
  }
}

double Progress::seconds() const {
  return std::max(std::chrono::duration<double>(steady_clock::now() - start_).count(), 1e-3);
}

std::string Progress::summary(const Now& now) const {
  const double megabytes = static_cast<double>(now.bytes) / 1e6;
  const double since_resumed = static_cast<double>(now.bytes - resumed_.bytes) / 1e6;
  const std::string tokens =
      now.tokens > 0 ? fmt::format(", {:.1f} M tokens", static_cast<double>(now.tokens) / 1e6) : "";
  return fmt::format("{:.1f} MB in {} documents{}, {:.1f} MB/s", megabytes, now.documents, tokens,
                     since_resumed / seconds());
}

std::string Progress::time_left(const Now& now) const {
  if (now.input_total == 0 || now.input_read <= resumed_.input_read ||
      now.input_read > now.input_total) {
    return "";
  }
  const auto read = static_cast<double>(now.input_read);
  const double left = (static_cast<double>(now.input_total) - read) * seconds() /
                      (read - static_cast<double>(resumed_.input_read));
  const auto whole = static_cast<std::int64_t>(left + 0.5);
  const std::string time = whole >= 3600 ? fmt::format("{} h {} min", whole / 3600, whole / 60 % 60)
                           : whole >= 120 ? fmt::format("{} min {} s", whole / 60, whole % 60)
                                          : fmt::format("{} s", whole);
  return fmt::format(", {:.1f} %, {} left", 100 * read / static_cast<double>(now.input_total),
                     time);
}

}  // namespace ovid::data_tools
