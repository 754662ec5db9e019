#pragma once

namespace ovid::data_tools {

// SIGINT, SIGTERM or SIGHUP ended the command between two pieces of work. Not an error: it unwinds
// the stack, so that unfinished output is removed, and the program ends with 128 + the signal; or
// with 75 where the command has kept its progress, so that the same command goes on.
struct Interrupted {
  int signal;
  bool progress_kept = false;
};

// From now on those signals set a flag instead of ending the program, and SIGPIPE is an EPIPE of
// the write.
void catch_signals();

// Throws Interrupted where a signal has come. Called between pieces of work and when a read is
// interrupted.
void check_interruption();

}  // namespace ovid::data_tools
