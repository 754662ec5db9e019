#pragma once

#include <functional>

#include "src/core/error.h"

namespace ovid {

// Runs the body of a program and turns what it throws into a message on standard error and an exit
// code: Error as it says, lack of memory as kResources, anything else as kBug with a line that asks
// for a report.
ExitCode run_guarded(const std::function<ExitCode()>& body);

}  // namespace ovid
