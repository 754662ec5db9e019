#include "src/cli/chat_input.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "src/chat/chat_line.h"
#include "src/core/error.h"

namespace ovid::cli {
namespace {

// A signal handler can reach nothing else.
volatile std::sig_atomic_t interrupts = 0;

void note_interrupt(int) {
  interrupts = 1;
}

// Without SA_RESTART, so that a waiting read comes back.
void handle_interrupt(void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  sigaction(SIGINT, &action, nullptr);
}

}  // namespace

ChatInput::ChatInput(bool terminal) : terminal_(terminal) {
  interrupts = 0;
  if (terminal_) handle_interrupt(note_interrupt);
}

ChatInput::~ChatInput() {
  if (terminal_) handle_interrupt(SIG_DFL);
}

bool ChatInput::take_interrupt() {
  const bool came = interrupts != 0;
  interrupts = 0;
  return came;
}

bool ChatInput::fill() {
  std::array<char, 4096> bytes;
  for (;;) {
    if (take_interrupt()) return false;
    const ssize_t count = ::read(STDIN_FILENO, bytes.data(), bytes.size());
    if (count > 0) {
      buffer_.append(bytes.data(), static_cast<std::size_t>(count));
      return true;
    }
    if (count == 0) return false;
    if (errno == EINTR) continue;
    throw ResourceError(fmt::format("cannot read standard input: {}", std::strerror(errno)));
  }
}

std::optional<std::string> ChatInput::next() {
  std::string line;
  for (;;) {
    const std::size_t end = buffer_.find('\n');
    // What comes behind the first bytes of a line that is too long is not kept.
    if (line.size() <= chat::kMostLineBytes) line.append(buffer_, 0, end);
    if (end != std::string::npos) {
      buffer_.erase(0, end + 1);
      return line;
    }
    buffer_.clear();
    if (!at_end_ && fill()) continue;
    at_end_ = true;
    if (line.empty()) return std::nullopt;
    return line;
  }
}

}  // namespace ovid::cli
