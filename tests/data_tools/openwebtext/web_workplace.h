#pragma once

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "tests/data_tools/workplace.h"

namespace ovid::test {

// English enough for the language filter; different seeds share no run of five words to speak of.
inline std::string english(unsigned seed, std::size_t words = 120) {
  constexpr std::array<const char*, 56> kWords{
      "the",    "of",      "and",     "to",      "in",     "that",  "was",    "with",
      "for",    "house",   "river",   "people",  "would",  "after", "small",  "garden",
      "before", "morning", "there",   "which",   "their",  "about", "found",  "water",
      "street", "young",   "between", "never",   "having", "light", "window", "letter",
      "could",  "again",   "friend",  "another", "the",    "of",    "and",    "a",
      "he",     "she",     "said",    "went",    "came",   "old",   "long",   "night",
      "road",   "winter",  "stood",   "they",    "had",    "been",  "this",   "from"};
  std::mt19937 random(seed);
  std::string text;
  for (std::size_t i = 0; i < words; ++i) {
    text += kWords[random() % kWords.size()];
    text += i % 12 == 11 ? ".\n" : " ";
  }
  return text;
}

// The text with every `every`-th word replaced.
inline std::string with_changed_words(const std::string& text, std::size_t every) {
  std::string changed;
  std::size_t word = 0;
  bool skipping = false;
  for (const char c : text) {
    const bool space = c == ' ' || c == '\n';
    if (space) {
      if (skipping) changed += "yesterday";
      skipping = ++word % every == 0;
    }
    if (space || !skipping) changed += c;
  }
  return changed;
}

// A corpus, an output folder beside it, and the openwebtext command with the byte tokenizer.
struct WebPlace : Workplace {
  std::vector<std::string> command(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments{"openwebtext", "--output",    output.string(),
                                       "--tokenizer", "bytes",       "--memory-mib",
                                       "1",           "--min-words", "20"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  ProgramResult run(const std::vector<std::string>& more, const std::string& input = "") const {
    return run_ovid_data(command(more), input);
  }
  nlohmann::json passport() const {
    return nlohmann::json::parse(read_file(output / "passport.json"));
  }
  nlohmann::json stage(const std::string& name) const {
    const nlohmann::json whole = passport();
    for (const nlohmann::json& stage : whole.at("stages")) {
      if (stage.at("stage") == name) return stage;
    }
    return {};
  }
  std::string path(const std::string& name) const { return (corpus / name).string(); }

  // An archive as the release has it: openwebtext/urlsf_subsetNN_data.xz, each an xz tar of texts.
  void pack_release(const std::vector<std::vector<std::string>>& subsets,
                    const std::string& name) const {
    std::string script = "mkdir openwebtext";
    unsigned number = 0;
    for (std::size_t s = 0; s < subsets.size(); ++s) {
      const std::string subset = fmt::format("subset{}", s);
      for (const std::string& text : subsets[s]) {
        write(fmt::format("{}/{:07}-text.txt", subset, number++), text);
      }
      script += fmt::format(
          " && tar -C {0} --sort=name -cf - . | xz -0 > openwebtext/urlsf_subset{1:02}_data.xz"
          " && rm -r {0}",
          subset, s);
    }
    script += " && tar --sort=name -cJf " + name + " openwebtext && rm -r openwebtext";
    REQUIRE(shell(script) == 0);
  }
};

}  // namespace ovid::test
