#pragma once

#include <string_view>

namespace ovid::training {

// From now on SIGTERM, SIGINT and SIGUSR1 ask the run to stop at the end of its step, and a second
// SIGINT ends the process at once (exit code 130). SIGXFSZ is ignored, so that a file that grows
// too large is an error like a full disk.
void install_stop_signals();

// Whether one arrived, and its name ("SIGTERM"), empty where none did.
bool stop_requested();
std::string_view stop_signal_name();

}  // namespace ovid::training
