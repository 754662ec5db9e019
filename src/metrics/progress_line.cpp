#include "src/metrics/progress_line.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "src/core/log.h"

namespace ovid::metrics {
namespace {

constexpr double kSecondsBetweenDrawings = 0.1;

// The line that the terminal shows now. The log's hooks carry no argument, and a process has one
// terminal.
ProgressLine* shown_line = nullptr;

void clear_shown_line() {
  if (shown_line != nullptr) shown_line->clear();
}
void redraw_shown_line() {
  if (shown_line != nullptr) shown_line->redraw();
}

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

int terminal_width() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

// Progress is no result: what standard error does not take is lost without a word.
void write_to_standard_error(const std::string& bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::write(STDERR_FILENO, bytes.data() + done, bytes.size() - done);
    if (count <= 0) return;
    done += static_cast<std::size_t>(count);
  }
}

double monotonic_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

ProgressOptions standard_error_progress(std::int64_t total_steps) {
  const char* terminal_type = std::getenv("TERM");
  const bool dumb = terminal_type == nullptr || std::string_view(terminal_type) == "dumb";
  ProgressOptions options;
  options.total_steps = total_steps;
  options.terminal = ::isatty(STDERR_FILENO) == 1 && !dumb && !is_set("NO_COLOR") && !is_set("CI");
  options.current_width = terminal_width;
  options.clock = monotonic_seconds;
  options.write = write_to_standard_error;
  return options;
}

ProgressLine::ProgressLine(ProgressOptions options) : options_(std::move(options)) {
  if (!options_.terminal) return;
  shown_line = this;
  log::set_terminal_hooks(clear_shown_line, redraw_shown_line);
}

ProgressLine::~ProgressLine() {
  if (options_.terminal) {
    log::set_terminal_hooks(nullptr, nullptr);
    shown_line = nullptr;
  }
  if (visible_) write("\n");
}

void ProgressLine::write(const std::string& bytes) const {
  if (options_.write) options_.write(bytes);
}

void ProgressLine::update(const ProgressStep& step) {
  const std::lock_guard guard(lock_);
  if (finished_) return;
  rate_.add_step(step.seconds, step.tokens, step.flops);
  // A machine that was busy when its peak was measured can do more than that.
  if (options_.peak_flops_per_second > 0 && step.seconds > 0) {
    options_.peak_flops_per_second =
        std::max(options_.peak_flops_per_second, step.flops / step.seconds);
  }
  newest_ = step;
  newest_drawn_ = false;
  const double time = options_.clock ? options_.clock() : monotonic_seconds();
  const double pause = options_.terminal ? kSecondsBetweenDrawings : options_.plain_every_seconds;
  if (drawn_once_ && time - last_drawn_ < pause && step.step < options_.total_steps) return;
  last_drawn_ = time;
  draw();
}

void ProgressLine::finish() {
  const std::lock_guard guard(lock_);
  if (finished_) return;
  finished_ = true;
  if (!newest_drawn_) draw();
  if (visible_) write("\n");
  visible_ = false;
}

void ProgressLine::draw() {
  drawn_once_ = true;
  newest_drawn_ = true;
  if (!options_.terminal) {
    write(format_progress(newest_, options_, rate_, 0) + "\n");
    return;
  }
  const int width = options_.current_width ? options_.current_width() : options_.width;
  // One column stays free: a character in the last one makes some terminals begin a new line.
  write("\r" + format_progress(newest_, options_, rate_, width > 1 ? width - 1 : 1) + "\x1b[K");
  visible_ = true;
}

void ProgressLine::clear() {
  const std::lock_guard guard(lock_);
  if (visible_) write("\r\x1b[K");
  visible_ = false;
}

void ProgressLine::redraw() {
  const std::lock_guard guard(lock_);
  if (options_.terminal && drawn_once_ && !finished_ && !visible_) draw();
}

}  // namespace ovid::metrics
