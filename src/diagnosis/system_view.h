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

// An environment variable's value; nothing where it is not set, or empty.
std::optional<std::string> variable(const SystemView& system, const std::string& name);

}  // namespace ovid::diagnosis
