#pragma once

#include <string_view>

namespace ovid::cli {

// Writes to standard output and flushes. Throws ResourceError where that fails; a reader that went
// away (a closed pipe) ends the process quietly, as it does other programs of a pipeline.
void print(std::string_view text);
void print_line(std::string_view text);

}  // namespace ovid::cli
