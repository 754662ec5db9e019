#include "src/cli/stop_request.h"

#include <csignal>

namespace ovid::cli {
namespace {

// A signal handler can reach nothing else.
volatile std::sig_atomic_t asked = 0;

void ask(int) {
  asked = 1;
}

void handle(void (*handler)(int), int flags) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

StopRequest::StopRequest() {
  asked = 0;
  handle(ask, SA_RESETHAND);
}

StopRequest::~StopRequest() {
  handle(SIG_DFL, 0);
}

bool StopRequest::arrived() const {
  return asked != 0;
}

}  // namespace ovid::cli
