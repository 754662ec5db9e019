#include "data_tools/shared_options.h"

#include <CLI/CLI.hpp>

namespace ovid::data_tools {

void add_output_options(CLI::App& command, OutputOptions options) {
  command.add_option("--output", options.output, "Folder for the shards")
      ->required()
      ->type_name("DIR");
  add_tokenizer_option(command, options.tokenizer);
  command
      .add_option("--threads", options.threads,
                  "Threads in all; 0: as many as this process has cores. The result is the same")
      ->capture_default_str();
  command.add_flag("--overwrite", options.overwrite, "Replace a data set that --output holds");
}

void add_tokenizer_option(CLI::App& command, std::string& tokenizer) {
  command
      .add_option("--tokenizer", tokenizer,
                  "Folder with vocabulary files, .tiktoken file, or: bytes")
      ->required()
      ->type_name("TOKENIZER");
}

void add_resume_options(CLI::App& command, bool& restart, std::uint64_t& journal_bytes) {
  command.add_flag("--restart", restart,
                   "Begin anew although an interrupted run left work to go on with");
  command.add_option("--journal-bytes", journal_bytes, "Text between two records of the progress")
      ->capture_default_str();
}

}  // namespace ovid::data_tools
