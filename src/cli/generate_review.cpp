#include "src/cli/generate_review.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "src/cli/commands.h"
#include "src/config/suggestion.h"
#include "src/core/error.h"
#include "src/core/log.h"
#include "src/prompts/review_prompt.h"
#include "src/tokenizer/control_words.h"
#include "src/tokenizer/utf8.h"

namespace ovid::cli {
namespace {

using tokenizer::ControlKind;
using tokenizer::ControlWords;

constexpr std::size_t kLongestHeadline = 4096, kLongestCategory = 64;

// The control words of the model; where it does not say, those of any category, as text.
ControlWords control_of(const Path& folder) {
  const auto control = tokenizer::load_control_words(folder);
  if (!control) {
    log::warning(fmt::format("{} has no {}: the control words are taken to be text",
                             folder.string(), tokenizer::kControlFile));
    return {.kind = ControlKind::kText, .task = prompts::kReviewTask, .words = {}};
  }
  if (control->task != prompts::kReviewTask) {
    throw UsageError(
        fmt::format("--stars is for a model of reviews; {} says that this one learned {}{}",
                    (folder / tokenizer::kControlFile).string(), control->task,
                    control->task == "persona-chat" ? ": use ovid chat" : ""));
  }
  if (control->kind == ControlKind::kNone) {
    throw UsageError(
        "this model was trained on reviews without control words, so nothing can be ordered; for "
        "any review use --prompt $'<|endoftext|>\\n'");
  }
  return *control;
}

void check_line(const char* option, const std::string& text, std::size_t most) {
  if (text.size() > most)
    throw UsageError(fmt::format("{} has {} bytes; {} at most", option, text.size(), most));
  if (tokenizer::find_invalid_utf8(text))
    throw UsageError(fmt::format("{} is not UTF-8; write it as UTF-8", option));
  if (text.find_first_of("\r\n") != std::string::npos)
    throw UsageError(fmt::format("{} has a line end; write it on one line", option));
}

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

std::string list_of(const std::vector<std::string>& categories) {
  constexpr std::size_t kMostNamed = 100;
  const std::size_t count = std::min(categories.size(), kMostNamed);
  std::string list = fmt::format(
      "{}",
      fmt::join(categories.begin(), categories.begin() + static_cast<std::ptrdiff_t>(count), ", "));
  if (count < categories.size()) list += fmt::format(" and {} more", categories.size() - count);
  return list;
}

std::string chosen_category(const std::string& wanted, const ControlWords& control) {
  const std::vector<std::string> known = prompts::categories_of(control);
  if (wanted.empty()) {
    if (known.size() == 1) return known.front();
    throw UsageError(known.empty()
                         ? "--stars needs --category NAME, as the data set has it"
                         : fmt::format("--stars needs --category, one of: {}", list_of(known)));
  }
  check_line("--category", wanted, kLongestCategory);
  if (known.empty()) {
    if (wanted.find_first_of("<>|") == std::string::npos) return wanted;
    throw UsageError(fmt::format("--category {} has one of < > |, which no category has", wanted));
  }
  for (const std::string& name : known) {
    if (name == wanted) return name;
  }
  for (const std::string& name : known) {
    if (lower_case(name) == lower_case(wanted)) return name;
  }
  const std::vector<std::string_view> candidates(known.begin(), known.end());
  const auto near = config::nearest(wanted, candidates);
  throw UsageError(fmt::format("--category {} is none that the model knows{}; it knows: {}", wanted,
                               near ? fmt::format(" (did you mean {}?)", *near) : "",
                               list_of(known)));
}

void check_stars(int stars, const ControlWords& control) {
  if (stars < 1 || stars > prompts::kMostStars)
    throw UsageError(fmt::format("--stars {} is outside 1 to {}", stars, prompts::kMostStars));
  const auto& words = control.words;
  if (!words.empty() &&
      std::find(words.begin(), words.end(), prompts::stars_word(stars)) == words.end())
    throw UsageError(fmt::format("the model knows no reviews of {} stars; try another", stars));
}

}  // namespace

Prompt review_prompt(const GenerateOptions& options, const tokenizer::Tokenizer& tokenizer,
                     const Path& folder) {
  const ControlWords control = control_of(folder);
  check_stars(*options.stars, control);
  check_line("--headline", options.headline, kLongestHeadline);
  Prompt prompt;
  prompt.category = chosen_category(options.category, control);
  prompt.ids = prompts::ReviewLayout(tokenizer, control.kind)
                   .prompt(*options.stars, prompt.category, options.headline);
  if (!options.headline.empty()) prompt.text = options.headline + "\n";
  return prompt;
}

}  // namespace ovid::cli
