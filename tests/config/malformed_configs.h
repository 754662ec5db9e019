#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace ovid::config {

struct ExpectedProblem {
  std::string source;      // a file's name or "command line"
  std::size_t line = 0;    // 0: the message points at no line
  std::size_t column = 0;  // in characters, from 1
  std::string message;     // parts of what is told
  std::string label;
  std::string help;
};

// A case of malformed_configs.txt, whose head says what it is made of.
struct MalformedConfig {
  std::size_t line = 0;                                    // of the table, where the case begins
  std::vector<std::pair<std::string, std::string>> files;  // name and text; run.yaml is the first
  std::vector<std::string> overrides;
  std::vector<ExpectedProblem> problems;
};

// Throws std::runtime_error, with the line, where the table itself is malformed.
std::vector<MalformedConfig> read_malformed_configs(const std::filesystem::path& table);

}  // namespace ovid::config
