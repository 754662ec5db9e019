#pragma once

#include <string>
#include <string_view>

#include "src/core/file.h"

namespace ovid::checkpoint {

// A JSON file of at most `limit` bytes, nested at most 64 deep: what parsers that recurse can take.
// Throws CheckpointError where it is absent, too large or too deep.
std::string read_json_file(const Path& path, std::uint64_t limit = 64u << 20);

// The deepest nesting of arrays and objects in a JSON text; quotes and escapes are respected,
// nothing else is checked.
int nesting_depth(std::string_view json);

// Whether a name from a file may stand in a path: no separator, not "." or "..", not empty, no
// control character.
bool is_plain_file_name(std::string_view name);

// Text from a file as it may stand in a message: control characters, which could steer a terminal,
// become '?'.
std::string printable(std::string text);

}  // namespace ovid::checkpoint
