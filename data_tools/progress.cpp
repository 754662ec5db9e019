#include "data_tools/progress.h"

#include <fmt/format.h>
#include <unistd.h>

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

Progress::Progress()
    : start_(steady_clock::now()), shown_(start_), on_terminal_(::isatty(STDERR_FILENO) == 1) {
  if (on_terminal_) log::set_terminal_hooks(&clear_line, nullptr);
}

Progress::~Progress() {
  if (!on_terminal_) return;
  clear_line();
  log::set_terminal_hooks(nullptr, nullptr);
}

void Progress::update(std::uint64_t bytes, std::uint64_t documents) {
  const auto now = steady_clock::now();
  if (now - shown_ < (on_terminal_ ? std::chrono::milliseconds(200) : std::chrono::seconds(10))) {
    return;
  }
  shown_ = now;
  if (on_terminal_) {
    fmt::print(stderr, "{}{}", kClearLine, summary(bytes, documents));
  } else {
    log::info(summary(bytes, documents));
  }
}

std::string Progress::summary(std::uint64_t bytes, std::uint64_t documents) const {
  const double seconds = std::chrono::duration<double>(steady_clock::now() - start_).count();
  const double megabytes = static_cast<double>(bytes) / 1e6;
  return fmt::format("{:.1f} MB in {} documents, {:.1f} MB/s", megabytes, documents,
                     megabytes / std::max(seconds, 1e-3));
}

}  // namespace ovid::data_tools
