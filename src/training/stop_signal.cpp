#include "src/training/stop_signal.h"

#include <unistd.h>

#include <csignal>

namespace ovid::training {
namespace {

// A signal handler can reach nothing but a global; this is the only one of the module.
volatile std::sig_atomic_t received = 0;

extern "C" void on_stop_signal(int signal) {
  if (signal == SIGINT && received == SIGINT) ::_exit(130);
  received = signal;
}

}  // namespace

void install_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_stop_signal;
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) ::sigaction(signal, &action, nullptr);
  std::signal(SIGXFSZ, SIG_IGN);
}

bool stop_requested() {
  return received != 0;
}

std::string_view stop_signal_name() {
  switch (received) {
    case SIGTERM:
      return "SIGTERM";
    case SIGINT:
      return "SIGINT";
    case SIGUSR1:
      return "SIGUSR1";
    default:
      return "";
  }
}

}  // namespace ovid::training
