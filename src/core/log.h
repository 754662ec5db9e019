#pragma once

#include <filesystem>
#include <string>

// Messages for people, on standard error and, after log::open_file, in a file too. Standard output
// is for data only. A message may quote any bytes: control characters other than line ends and tabs
// are shown as '?'.
namespace ovid::log {

enum class Level { kDebug, kInfo, kWarning, kError };

void set_level(Level level);

// Stands before every message on the terminal from now on ("[rank 3] "), where several processes
// share it.
void set_prefix(const std::string& prefix);

// From now on every message also goes to `path` (appended, with UTC time). A file that cannot be
// written is reported once and does not stop the program.
void open_file(const std::filesystem::path& path);

void debug(const std::string& message);
void info(const std::string& message);
void warning(const std::string& message);
void error(const std::string& message);

// Called with every message before it reaches the terminal, and after: a progress line clears and
// redraws itself. Null takes the hooks away.
void set_terminal_hooks(void (*before)(), void (*after)());

}  // namespace ovid::log
