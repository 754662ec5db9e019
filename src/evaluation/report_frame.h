#pragma once

#include <string>
#include <utility>
#include <vector>

#include "src/evaluation/task.h"
#include "src/evaluation/task_report.h"

namespace ovid::evaluation {

// Parts of a report's JSON object: keys, and values as JSON.
using ReportJson = std::vector<std::pair<std::string, std::string>>;

// A report of `task` with the facts that all have: model, data, part, seed.
TaskReport begin_report(const std::string& task, const TaskRun& run);

// Sets report.json: task and facts, `parts` in order, and the notes.
void finish_json(const TaskRun& run, const ReportJson& parts, TaskReport& report);

}  // namespace ovid::evaluation
