#include "data_tools/interruption.h"

#include <csignal>
#include <initializer_list>

namespace ovid::data_tools {
namespace {

// Global because a signal handler can reach nothing else.
volatile std::sig_atomic_t pending_signal = 0;

void remember_signal(int signal) {
  pending_signal = signal;
}

}  // namespace

void catch_signals() {
  struct sigaction action {};
  action.sa_handler =
      remember_signal;  // without SA_RESTART: a read that waits for input must return
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, nullptr);
}

void check_interruption() {
  if (pending_signal != 0) throw Interrupted{static_cast<int>(pending_signal)};
}

}  // namespace ovid::data_tools
