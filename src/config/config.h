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

// Reads a YAML file of at most 1 MiB and the files that its key `include` names (at most 32 in all,
// 8 levels deep, relative to the file that names them; the including file wins key by key), applies
// `overrides` ("optimizer.learning_rate=1e-3"; the value is a YAML scalar or list; of two for one
// key the later wins), and checks all of it. Numbers are decimal, integers may end in k, M, G, Ki,
// Mi or Gi; 012, 0x10 and 1_000 are refused, as are anchors, aliases, tags and repeated keys.
// `name` says where the text of load_text comes from; what it includes lies beside that path.
// Throws ConfigError; ResourceError where the file cannot be read.
LoadedConfig load(const Path& file, std::span<const std::string> overrides = {});
LoadedConfig load_text(std::string_view text, std::string_view name,
                       std::span<const std::string> overrides = {});

// Documentation of a key ("optimizer.beta1"), of a section with its keys ("optimizer"), or of all
// keys (""), as text for a terminal. Throws UsageError with the nearest name for a key that does
// not exist.
std::string explain(std::string_view key);

// resolved_yaml with the origin of every value as a comment; valid input again.
std::string show(const LoadedConfig& config);

// One JSON object on one line:
// {"config": {"run": {"name": ...}, ...}, "origins": {"run.name": ...}}.
std::string show_json(const LoadedConfig& config);

// One JSON object on one line: {"sections": [{"name", "documentation"}], "keys": [{"key", "type",
// "documentation", "default", "default_rule", "unit", "choices", "range", "nullable",
// "required"}]}, with the keys that explain(key) names. "range" is null where the type has none.
// Throws like explain.
std::string explain_json(std::string_view key);

// The names of all sections, and the keys of the top level, in the order of the reference page.
std::vector<std::string> section_names();
std::vector<std::string> top_level_names();

// The page docs/configuration.md.
std::string reference_markdown();

}  // namespace ovid::config
