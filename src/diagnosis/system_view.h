#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "src/core/file.h"

namespace ovid::diagnosis {

// Where checks read: /proc and /sys below `root`, so that a test can show them another machine.
struct SystemView {
  Path root = "/";
  std::map<std::string, std::string> environment;
};

// This machine, with this process's environment.
SystemView this_machine();

// The text of a small file below the root, without the white space at its end; empty where it
// cannot be read.
std::string text_of(const SystemView& system, std::string_view relative_path);

// The number behind "KEY" in lines of "KEY: number unit" (/proc/meminfo), and the first number of a
// text. Nothing where there is none, or it does not fit in 64 bits.
std::optional<std::uint64_t> number_after(std::string_view text, std::string_view key);
std::optional<std::uint64_t> first_number(std::string_view text);

// An environment variable's value; nothing where it is not set, or empty.
std::optional<std::string> variable(const SystemView& system, const std::string& name);

}  // namespace ovid::diagnosis
