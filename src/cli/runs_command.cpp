#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "src/cli/commands.h"
#include "src/cli/standard_output.h"
#include "src/config/text.h"
#include "src/core/log.h"
#include "src/metrics/progress_line.h"
#include "src/report/compare.h"
#include "src/report/html.h"
#include "src/report/report.h"
#include "src/report/run_summary.h"
#include "src/report/sparkline.h"
#include "src/report/text_table.h"

namespace ovid::cli {
namespace {

using nlohmann::ordered_json;
using report::TextTable;

// JSON has no NaN; the same words as in metrics.jsonl stand for what is not finite.
ordered_json json_number(const std::optional<double>& value) {
  if (!value) return nullptr;
  if (std::isnan(*value)) return "nan";
  if (std::isinf(*value)) return *value > 0 ? "inf" : "-inf";
  return *value;
}

std::string dump(const ordered_json& json) {
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

ordered_json summary_json(const report::RunSummary& summary) {
  ordered_json json{{"name", summary.name},
                    {"directory", summary.directory.string()},
                    {"status", report::to_string(summary.status)},
                    {"step", summary.step},
                    {"steps", nullptr},
                    {"loss", json_number(summary.loss)},
                    {"validation_loss", json_number(summary.validation_loss)},
                    {"best_validation_loss", json_number(summary.best_validation_loss)},
                    {"best_step", nullptr},
                    {"tokens", summary.tokens},
                    {"tokens_per_second", json_number(summary.tokens_per_second)},
                    {"last_change", summary.last_change},
                    {"bytes", summary.bytes},
                    {"checkpoints", summary.checkpoints}};
  if (summary.steps) json["steps"] = *summary.steps;
  if (summary.best_validation_loss) json["best_step"] = summary.best_step;
  return json;
}

std::string optional_loss(const std::optional<double>& loss) {
  return loss ? report::readable_loss(*loss) : "-";
}

std::string steps_text(const report::RunSummary& summary) {
  return summary.steps ? fmt::format("{}/{}", summary.step, *summary.steps)
                       : std::to_string(summary.step);
}

std::string tokens_text(const report::RunSummary& summary) {
  return summary.tokens > 0 ? metrics::format_count(static_cast<double>(summary.tokens)) : "-";
}

void print_field(const std::string& name, const std::string& value) {
  print_line(fmt::format("{:<16} {}", name, config::printable(value)));
}

void print_summary(const report::Run& run) {
  const report::RunSummary& summary = run.summary;
  print_field("run", summary.name);
  print_field("directory", summary.directory.string());
  print_field("status", std::string(report::to_string(summary.status)));
  print_field("step", steps_text(summary));
  print_field("tokens", report::readable_count(summary.tokens));
  print_field("loss", optional_loss(summary.loss));
  print_field("validation loss", optional_loss(summary.validation_loss));
  if (summary.best_validation_loss) {
    print_field("best validation",
                fmt::format("{} at step {}", report::readable_loss(*summary.best_validation_loss),
                            summary.best_step));
  }
  if (summary.tokens_per_second)
    print_field("speed", metrics::format_count(*summary.tokens_per_second) + " tok/s");
  print_field("last change", report::readable_time(summary.last_change));
  print_field("on disk", report::readable_bytes(summary.bytes));
  std::string steps;
  for (const std::int64_t step : summary.checkpoints)
    steps += (steps.empty() ? "step " : ", ") + std::to_string(step);
  print_field("checkpoints", steps.empty() ? "none" : steps);
  std::vector<report::Point> losses;
  for (const metrics::StepRow& row : run.history.steps)
    losses.push_back({static_cast<double>(row.step), row.loss});
  constexpr std::size_t kSparklineWidth = 60;
  print_field("loss by step", report::sparkline(losses, kSparklineWidth));
}

void print_events(const std::vector<metrics::EventRow>& events) {
  constexpr std::size_t kNewest = 10;
  if (events.empty()) return;
  TextTable table({"STEP", "EVENT", "MESSAGE"}, "rll");
  for (std::size_t i = events.size() - std::min(events.size(), kNewest); i < events.size(); ++i)
    table.add({std::to_string(events[i].step), events[i].event, events[i].message});
  print("\n" + table.text());
}

ordered_json aligned_json(const std::vector<report::AlignedRow>& rows) {
  ordered_json out = ordered_json::array();
  for (const report::AlignedRow& row : rows) {
    ordered_json values = ordered_json::array();
    for (const double value : row.values) values.push_back(json_number(value));
    out.push_back({{"step", row.step}, {"values", values}});
  }
  return out;
}

ordered_json comparison_json(const std::vector<report::Run>& runs,
                             const report::Comparison& comparison) {
  ordered_json json{{"runs", ordered_json::array()}, {"config", ordered_json::object()}};
  for (const report::Run& run : runs) json["runs"].push_back(summary_json(run.summary));
  for (const report::ConfigDifference& difference : comparison.config) {
    ordered_json values = ordered_json::array();
    for (const auto& value : difference.values)
      values.push_back(value ? ordered_json(*value) : ordered_json(nullptr));
    json["config"][difference.key] = values;
  }
  json["common_steps"] = comparison.common_steps;
  json["losses"] = aligned_json(comparison.losses);
  json["validation_losses"] = aligned_json(comparison.validation_losses);
  json["first_difference"] = comparison.first_difference
                                 ? aligned_json({*comparison.first_difference}).front()
                                 : ordered_json(nullptr);
  return json;
}

std::vector<std::string> headings(const char* first, const std::vector<report::Run>& runs) {
  std::vector<std::string> out{first};
  for (const report::Run& run : runs) out.push_back(run.summary.name);
  return out;
}

void print_aligned(const char* title, const std::vector<report::Run>& runs,
                   const std::vector<report::AlignedRow>& rows) {
  if (rows.empty()) return;
  TextTable table(headings("STEP", runs), std::string(runs.size() + 1, 'r'));
  for (const report::AlignedRow& row : rows) {
    std::vector<std::string> cells{std::to_string(row.step)};
    for (const double value : row.values) cells.push_back(report::readable_loss(value));
    table.add(cells);
  }
  print(fmt::format("\n{}\n{}", title, table.text()));
}

void print_comparison(const std::vector<report::Run>& runs, const report::Comparison& comparison) {
  if (comparison.config.empty()) {
    print_line("The configs are the same.");
  } else {
    TextTable table(headings("CONFIG", runs), std::string(runs.size() + 1, 'l'));
    for (const report::ConfigDifference& difference : comparison.config) {
      std::vector<std::string> cells{difference.key};
      for (const auto& value : difference.values) cells.push_back(value.value_or("-"));
      table.add(cells);
    }
    print(table.text());
  }
  print_aligned("Training loss", runs, comparison.losses);
  print_aligned("Validation loss", runs, comparison.validation_losses);
  if (comparison.common_steps == 0) {
    print_line("\nThe runs have no step in common.");
  } else if (!comparison.first_difference) {
    print_line(fmt::format("\nThe losses of all {} common steps are equal to the last bit.",
                           comparison.common_steps));
  } else {
    const report::AlignedRow& row = *comparison.first_difference;
    print_line(fmt::format("\nThe losses first differ at step {} ({}), of {} common steps.",
                           row.step, fmt::join(row.values, " and "), comparison.common_steps));
  }
}

}  // namespace

ExitCode run_runs_list(const RunsOptions& options) {
  TextTable table({"NAME", "STATUS", "STEP", "LOSS", "VALIDATION", "TOKENS", "LAST CHANGE", "SIZE"},
                  "llrrrrlr");
  for (const Path& directory : report::find_runs(options.directory)) {
    const report::RunSummary summary = report::read_run(directory).summary;
    if (options.json) print_line(dump(summary_json(summary)));
    table.add({summary.name, std::string(report::to_string(summary.status)), steps_text(summary),
               optional_loss(summary.loss), optional_loss(summary.validation_loss),
               tokens_text(summary), report::readable_time(summary.last_change),
               report::readable_bytes(summary.bytes)});
  }
  if (options.json) return ExitCode::kDone;
  if (table.empty()) {
    log::info(fmt::format("no run in {}", options.directory));
  } else {
    print(table.text());
  }
  return ExitCode::kDone;
}

ExitCode run_runs_show(const RunsOptions& options) {
  const report::Run run = report::read_run(options.directory);
  if (options.json) {
    ordered_json json = summary_json(run.summary);
    json["config"] = run.summary.config;
    json["events"] = ordered_json::array();
    for (const metrics::EventRow& row : run.history.events) {
      json["events"].push_back({{"step", row.step},
                                {"event", row.event},
                                {"message", row.message},
                                {"time", json_number(row.time)}});
    }
    print_line(dump(json));
    return ExitCode::kDone;
  }
  print_summary(run);
  print_events(run.history.events);
  return ExitCode::kDone;
}

ExitCode run_runs_compare(const RunsOptions& options) {
  if (options.runs.size() < 2) {
    throw UsageError(
        fmt::format("runs compare takes two run directories or more, and got {}: try `ovid runs "
                    "compare runs/first runs/second`",
                    options.runs.size()));
  }
  std::vector<report::Run> runs;
  for (const std::string& directory : options.runs) runs.push_back(report::read_run(directory));
  const report::Comparison comparison = report::compare_runs(runs);
  if (options.json) {
    print_line(dump(comparison_json(runs, comparison)));
  } else {
    print_comparison(runs, comparison);
  }
  return ExitCode::kDone;
}

ExitCode run_runs_report(const RunsOptions& options) {
  report::write_report(options.directory);
  print_line((Path(options.directory) / "report.html").string());
  return ExitCode::kDone;
}

}  // namespace ovid::cli
