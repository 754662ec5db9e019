#pragma once

#include <cstdint>

#include "src/core/file.h"

namespace ovid::checkpoint {

// The sizes of all regular files below a folder; links are not followed. What cannot be read counts
// nothing.
std::uint64_t folder_bytes(const Path& folder);

}  // namespace ovid::checkpoint
