#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "src/core/file.h"
#include "src/data/token_shard.h"
#include "tests/data_tools/program.h"
#include "tests/test_files.h"

namespace ovid::test {

inline std::vector<std::uint16_t> tokens_in(const Path& shard) {
  const data::TokenShard opened = data::TokenShard::open(shard);
  return {opened.tokens().begin(), opened.tokens().end()};
}

inline std::size_t entries_of(const Path& folder) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder)) ++count;
  return count;
}

// <|endoftext|> of the byte tokenizer before each text.
inline std::vector<std::uint16_t> documents(const std::vector<std::string>& texts) {
  std::vector<std::uint16_t> tokens;
  for (const std::string& text : texts) {
    tokens.push_back(256);
    for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
  }
  return tokens;
}

// The bytes of every file in a folder and below, by name.
inline std::map<std::string, std::string> contents_of(const Path& folder) {
  std::map<std::string, std::string> contents;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    contents[std::filesystem::relative(entry.path(), folder).string()] = read_file(entry.path());
  }
  return contents;
}

// A corpus, an output folder beside it, and the text command with the byte tokenizer.
struct Workplace {
  TemporaryDirectory folder;
  Path corpus = folder / "corpus";
  Path output = folder / "output";

  Workplace() { make_directories(corpus); }

  void write(const std::string& name, const std::string& text) const {
    make_directories((corpus / name).parent_path());
    replace_file(corpus / name, text);
  }
  // Runs a shell script in the corpus.
  int shell(const std::string& script) const {
    return run_program({"sh", "-c", "cd '" + corpus.string() + "' && " + script}).exit_code;
  }
  std::vector<std::string> command(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments{"text", "--output", output.string(), "--tokenizer", "bytes"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  ProgramResult run(const std::vector<std::string>& more, const std::string& input = "") const {
    return run_ovid_data(command(more), input);
  }
  nlohmann::json description() const {
    return nlohmann::json::parse(read_file(output / "dataset.json"));
  }
};

}  // namespace ovid::test
