#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "src/core/file.h"
#include "src/evaluation/task_report.h"
#include "src/generation/generator.h"
#include "src/tokenizer/control_words.h"
#include "src/tokenizer/tokenizer.h"

namespace ovid::evaluation {

// What a user may choose. A task reads what concerns it.
struct TaskSettings {
  std::string part = "validation";  // of the held-out data: validation | test
  std::int64_t limit = 0;           // reviews (evenly spaced) or turns (the first); 0: all
  std::optional<std::int64_t> samples = std::nullopt;  // texts that the model writes; absent: the
                                                       // task's own number; 0: none
  std::optional<double> temperature = std::nullopt;    // absent: the task's own
  std::int64_t top_k = 0;
  double top_p = 1.0;
  std::optional<std::int64_t> max_new_tokens = std::nullopt;  // of a written text
  std::uint64_t seed = 1337;
  // The model was trained on reviews without control words, whatever lies beside it.
  bool without_prefix = false;
};

struct TaskRun {
  const generation::GenerationModel& model;
  const tokenizer::Tokenizer& tokenizer;  // of the model
  tokenizer::ControlWords control;        // that the model was trained with
  Path model_directory;
  Path data;
  TaskSettings settings;
  // Told how many of a stage's units are done.
  std::function<void(std::string_view stage, std::int64_t done, std::int64_t all)> on_progress =
      nullptr;

  void progress(std::string_view stage, std::int64_t done, std::int64_t all) const {
    if (on_progress) on_progress(stage, done, all);
  }
};

// One kind of evaluation beside the loss on token shards. A further one is a function and a row of
// the table in task.cpp.
struct Task {
  const char* name;     // of --task
  const char* what;     // is measured
  const char* metrics;  // its figures
  const char* data;     // what --data has to be
  // A pure function of model, data and settings. Throws UsageError for settings out of range,
  // DataError for data that are not the task's or not for this model.
  TaskReport (*run)(const TaskRun& run);
};

std::span<const Task> tasks();

// Throws UsageError, with the names that there are.
const Task& find_task(std::string_view name);

// Throws UsageError where a setting that every task shares is out of its range.
void check_settings(const TaskSettings& settings);

}  // namespace ovid::evaluation
