#include "src/evaluation/task.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "src/core/error.h"
#include "src/evaluation/amazon_reviews.h"
#include "src/evaluation/persona_chat.h"

namespace ovid::evaluation {
namespace {

constexpr std::array<Task, 2> kTasks = {{
    {.name = "amazon-reviews",
     .what = "held-out reviews, and whether written ones have the stars that were asked for",
     .metrics =
         "perplexity for each star and category, with the control words, with wrong ones and "
         "without; control accuracy",
     .data = "a folder of ovid-data amazon-reviews",
     .run = evaluate_amazon_reviews},
    {.name = "persona-chat",
     .what = "replies in held-out dialogues",
     .metrics = "perplexity, hits@1, word F1, distinct-1 and -2, repetition",
     .data = "a folder of ovid-data persona-chat, with candidates",
     .run = evaluate_persona_chat},
}};

}  // namespace

std::span<const Task> tasks() {
  return kTasks;
}

const Task& find_task(std::string_view name) {
  std::string names;
  for (const Task& task : kTasks) {
    if (task.name == name) return task;
    names += (names.empty() ? "" : ", ") + std::string(task.name);
  }
  throw UsageError(fmt::format("--task {} is none of {}", name, names));
}

void check_settings(const TaskSettings& settings) {
  if (settings.part != "validation" && settings.part != "test")
    throw UsageError(fmt::format("--part {} is none of validation, test", settings.part));
  const auto check = [](const char* option, auto value, auto least, auto most, const char* hint) {
    if (value >= least && value <= most) return;
    throw UsageError(fmt::format("{} {} is outside {} to {}{}", option, value, least, most, hint));
  };
  constexpr std::int64_t kMany = 1'000'000;
  check("--limit", settings.limit, std::int64_t{0}, 1000 * kMany, "; 0 scores all");
  check("--samples", settings.samples.value_or(1), std::int64_t{0}, kMany, "; 0 writes none");
  check("--temperature", settings.temperature.value_or(1.0), 0.0, 1e6, "; 0 is greedy");
  check("--top-k", settings.top_k, std::int64_t{0}, std::int64_t{65536}, "; 0 keeps all tokens");
  check("--max-new-tokens", settings.max_new_tokens.value_or(1), std::int64_t{1}, kMany, "");
  if (!(settings.top_p > 0.0 && settings.top_p <= 1.0)) {
    throw UsageError(
        fmt::format("--top-p {} is outside (0, 1]; 1 keeps all tokens", settings.top_p));
  }
}

}  // namespace ovid::evaluation
