#pragma once

#include <cstdint>
#include <string>

namespace CLI {
class App;  // of CLI11
}

// Options that several commands of ovid-data have. Each fills what it is given, which outlives the
// program's parsing.
namespace ovid::data_tools {

inline constexpr const char* kInputHelp =
    "Files, folders (walked in sorted order), archives, or - for standard input";

// Where shards go, and how they are made.
struct OutputOptions {
  std::string& output;
  std::string& tokenizer;
  int& threads;
  bool& overwrite;
};
// --output, --tokenizer, --threads, --overwrite.
void add_output_options(CLI::App& command, OutputOptions options);
template <typename Options>
void add_output_options(CLI::App& command, Options& options) {
  add_output_options(command, OutputOptions{options.output, options.tokenizer, options.threads,
                                            options.overwrite});
}

// --tokenizer alone.
void add_tokenizer_option(CLI::App& command, std::string& tokenizer);

// Of commands that go on after an interruption: --restart, --journal-bytes.
void add_resume_options(CLI::App& command, bool& restart, std::uint64_t& journal_bytes);

}  // namespace ovid::data_tools
