#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/tokenizer/tokenizer.h"

namespace ovid::cli {

struct GenerateOptions;

// One text to continue.
struct Prompt {
  std::optional<std::string> text;  // absent where the prompt was given as ids
  std::vector<std::int32_t> ids;
  std::string category;  // of a review
};

// The lines of a file of prompts. Without `json_lines` each line is a prompt, an empty one
// begins a new document; with it each line is a JSON object with a string "prompt" (other fields
// are left alone), and blank lines are skipped. `name` is for messages. Throws DataError naming the
// line where one is something else, or where there is none.
std::vector<std::string> parse_prompts(std::string_view content, bool json_lines,
                                       const std::string& name);

// The prompts that the options name: --prompt, --prompt-ids, or the lines of the file (or of
// standard input) of --prompts. `tokenizer` may be null for ids only. Throws UsageError, DataError,
// ResourceError.
std::vector<Prompt> read_prompts(const GenerateOptions& options,
                                 const tokenizer::Tokenizer* tokenizer);

}  // namespace ovid::cli
