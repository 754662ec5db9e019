#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/config/run_config.h"
#include "src/core/error.h"
#include "src/core/file.h"

namespace ovid::config {

// One thing that is wrong with a config. `source` is the file's name or "command line"; line and
// column count from 1, in characters, and are 0 where the problem has no place (a missing key of an
// absent section).
struct Problem {
  std::string source;
  std::size_t line = 0;
  std::size_t column = 0;
  std::string message;  // what is wrong
  std::string label;    // beside the carets: the nearest legal spelling or value; may be empty
  std::string help;     // the cure; may be empty
};

// Every problem of a config, found in one pass. The message shows each with its line and carets
// under the place; the first comes without a leading "error: ", which the program's log writes.
struct ConfigError : UsageError {
  ConfigError(const std::string& text, std::vector<Problem> all)
      : UsageError(text), problems(std::move(all)) {}
  std::vector<Problem> problems;  // in the order of their places
};

// A config, where each value came from ("default", "FILE:LINE", "command line", "preset NAME"; keys
// are dotted), and all keys as YAML that loads to the same values.
struct LoadedConfig {
  RunConfig values;
  std::map<std::string, std::string> origins;
  std::string resolved_yaml;
};

// Reads a YAML file of at most 1 MiB, applies `overrides` ("optimizer.learning_rate=1e-3"; the
// value is a YAML scalar or list; of two for one key the later wins), and checks all of it. Numbers
// are decimal: 012, 0x10 and 1_000 are refused, as are anchors, aliases, tags and repeated keys.
// Throws ConfigError; DataError or ResourceError where the file cannot be read.
LoadedConfig load(const Path& file, std::span<const std::string> overrides = {});
LoadedConfig load_text(std::string_view text, std::string_view name,
                       std::span<const std::string> overrides = {});

// Documentation of a key ("optimizer.beta1"), of a section with its keys ("optimizer"), or of all
// keys (""), as text for a terminal. Throws UsageError with the nearest name for a key that does
// not exist.
std::string explain(std::string_view key);

// resolved_yaml with the origin of every value as a comment; valid input again.
std::string show(const LoadedConfig& config);

// The page docs/configuration.md.
std::string reference_markdown();

}  // namespace ovid::config
