#include <fmt/format.h>

#include <string_view>
#include <vector>

#include "src/config/config.h"
#include "src/config/pages.h"

namespace ovid::config {
namespace {

struct Mistake {
  std::string_view title;
  std::string_view config;
  std::string_view override_text{};
};

constexpr Mistake kMistakes[] = {
    {"A misspelt key", "data: {train: [train.bin]}\noptimizer:\n  learning_rat: 6e-4\n"},
    {"A key in the wrong section", "data: {train: [train.bin]}\noptimizer: {dropout: 0.1}\n"},
    {"Numbers that do not fit together",
     "data: {train: [train.bin]}\nbatch: {sequences: 10, micro_sequences: 4}\n"},
    {"Units and other spellings of numbers",
     "data: {train: [train.bin]}\nbatch: {length: 512 tokens}\ntraining: {steps: 1e4}\nmodel: "
     "{dropout: 10%}\n"},
    {"A value by another name", "data: {train: [train.bin]}\nprecision: bf16\n"},
    {"A key that is given twice",
     "data: {train: [train.bin]}\ntraining:\n  steps: 1000\n\ntraining:\n  steps: 2000\n"},
    {"No space behind the colon",
     "data: {train: [train.bin]}\nbatch:\n  sequences:512\n  length: 256\n"},
    {"A bracket that is not closed", "data:\n  train: [a.bin, b.bin\n  validation: [c.bin]\n"},
    {"A wrong indentation", "data:\n    train: [train.bin]\n  order: sequential\n"},
    {"An override that contradicts the file",
     "data: {train: [train.bin]}\nschedule: {warmup_steps: 700}\n", "training.steps=500"},
};

std::string message_of(const Mistake& mistake) {
  std::vector<std::string> overrides;
  if (!mistake.override_text.empty()) overrides.emplace_back(mistake.override_text);
  try {
    load_text(mistake.config, "run.yaml", overrides);
  } catch (const ConfigError& e) {
    return e.what();
  }
  return {};
}

}  // namespace

std::string typical_mistakes_markdown() {
  std::string out;
  for (const Mistake& mistake : kMistakes) {
    out += fmt::format("\n### {}\n\n```yaml\n{}```\n", mistake.title, mistake.config);
    if (!mistake.override_text.empty())
      out += fmt::format("with `{}` on the command line:\n", mistake.override_text);
    out += fmt::format("```text\nerror: {}\n```\n", message_of(mistake));
  }
  return out;
}

}  // namespace ovid::config
