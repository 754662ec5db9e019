#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/cli/generate_prompts.h"
#include "src/generation/generator.h"
#include "src/generation/stop_text.h"
#include "src/tokenizer/stream_decoder.h"
#include "src/tokenizer/tokenizer.h"

namespace ovid::cli {

struct GenerateOptions;

// Turns samples into text while they are made, ends them at stop strings, and prints them in their
// order: as JSON lines when they are finished; as text at once where a sample is the next in order,
// so that a single one, and the first of several, can be read while it is made; as ids where there
// is no tokenizer.
class GenerateOutput {
 public:
  struct Setup {
    const GenerateOptions& options;
    const std::vector<Prompt>& prompts;
    const tokenizer::Tokenizer* tokenizer;  // null: ids only
    std::optional<std::int32_t> end_of_text;
    std::uint64_t seed;
  };
  explicit GenerateOutput(const Setup& setup);

  // For generation::GenerationCallbacks. Throw ResourceError where standard output fails.
  generation::AfterToken add_token(const generation::Sample& sample);
  void finish(const generation::Sample& sample);

 private:
  struct Text {
    tokenizer::StreamDecoder decoder;
    generation::StopText stop;
    std::string all;        // that is certain not to belong to a stop string
    std::size_t shown = 0;  // of `all`
    bool begun = false;     // its heading and prompt are printed
  };
  using Key = std::pair<std::int64_t, std::int64_t>;  // prompt, number

  Text& text_of(const generation::Sample& sample);
  bool streams() const;
  // What is not shown yet: heading and prompt before the first text.
  std::string take_new(const generation::Sample& sample, Text& text) const;
  std::string heading(const generation::Sample& sample) const;
  std::string json(const generation::Sample& sample, const Text* text) const;

  Setup setup_;
  std::map<Key, Text> texts_;  // of the samples in work
  Key next_{0, 0};             // whose turn it is to be shown
};

}  // namespace ovid::cli
