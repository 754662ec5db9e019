#include "src/evaluation/report_frame.h"

#include <nlohmann/json.hpp>

namespace ovid::evaluation {

TaskReport begin_report(const std::string& task, const TaskRun& run) {
  TaskReport report;
  report.task = task;
  report.facts = {{"model", run.model_directory.string()},
                  {"data", run.data.string()},
                  {"part", run.settings.part},
                  {"control words", tokenizer::name_of(run.control.kind)},
                  {"seed", std::to_string(run.settings.seed)}};
  return report;
}

void finish_json(const TaskRun& run, const ReportJson& parts, TaskReport& report) {
  nlohmann::ordered_json json = {{"task", report.task},
                                 {"model", run.model_directory.string()},
                                 {"data", run.data.string()},
                                 {"part", run.settings.part},
                                 {"control_words", tokenizer::name_of(run.control.kind)},
                                 {"seed", run.settings.seed}};
  for (const auto& [key, value] : parts) json[key] = nlohmann::ordered_json::parse(value);
  json["notes"] = report.notes;
  // Names of folders need not be UTF-8.
  report.json = json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace ovid::evaluation
