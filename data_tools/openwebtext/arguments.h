#pragma once

#include "data_tools/openwebtext/command.h"

namespace CLI {
class App;  // of CLI11
}

namespace ovid::data_tools::openwebtext {

// Adds `ovid-data openwebtext` to the program's commands; it fills `options`, which outlives the
// program's parsing, and runs.
void add_command(CLI::App& app, Options& options);

}  // namespace ovid::data_tools::openwebtext
