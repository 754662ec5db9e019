#pragma once

#include <string_view>

namespace ovid::training {

// From now on SIGTERM, SIGINT and SIGUSR1 ask the run to stop at the end of its step, and a second
// SIGINT ends the process at once (exit code 130). SIGXFSZ is ignored, so that a file that grows
// too large is an error like a full disk.
void install_stop_signals();

// Whether one arrived; which, 0 for none; and its name ("SIGTERM"), empty for any other number.
bool stop_requested();
int stop_signal();
std::string_view name_of_stop_signal(int signal);

}  // namespace ovid::training
