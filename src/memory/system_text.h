#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "src/core/file.h"

// The small texts in which the system tells about itself (/proc, /sys).
namespace ovid::memory {

// The text of a small file, without the white space at its end; empty where it cannot be read.
std::string system_text(const Path& path);

// The first number of a text, and the number behind "KEY" in lines of "KEY: number unit"
// (/proc/meminfo). Nothing where there is none, or it does not fit in 64 bits.
std::optional<std::uint64_t> first_number(std::string_view text);
std::optional<std::uint64_t> number_after(std::string_view text, std::string_view key);

}  // namespace ovid::memory
