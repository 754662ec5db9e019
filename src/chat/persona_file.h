#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/core/file.h"

namespace ovid::chat {

inline constexpr std::size_t kMostTraits = 100;

// The traits of a persona, one on each line that is not empty, cleaned; what stands before a trait
// in PERSONA-CHAT's files and in transcripts ("your persona:", a line number, "persona:") is left
// out. `name` is for messages. Pure. Throws DataError for what is not UTF-8, none, or more than
// kMostTraits.
std::vector<std::string> parse_persona(std::string_view content, const std::string& name);

// The same of a file of at most 64 KiB. Throws DataError, ResourceError.
std::vector<std::string> read_persona(const Path& path);

}  // namespace ovid::chat
