#include <fmt/format.h>

#include <algorithm>

#include "src/report/html.h"
#include "src/report/page_sections.h"

namespace ovid::report {
namespace {

constexpr std::size_t kMostEvents = 200;

std::string words(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

bool is_trouble(const std::string& event) {
  return event.find("skip") != std::string::npos || event.find("fail") != std::string::npos ||
         event == "diverged";
}

std::string command(const std::string& what, const std::string& line) {
  return fmt::format("<p>{}</p><pre class=\"code\">{}</pre>\n", what, escaped(line));
}

// `directory` without the dots that the working directory put in front.
std::string path_word(const Path& directory) {
  return shell_word(directory.lexically_normal().string());
}

}  // namespace

std::string events_html(const Run& run) {
  const auto& events = run.history.events;
  if (events.empty()) return "";
  std::string out =
      "<h2>Events</h2>\n<div class=\"events\"><table><tr><th>step</th><th>event</th><th>what "
      "happened</th>"
      "<th>time</th></tr>\n";
  const std::size_t shown = std::min(events.size(), kMostEvents);
  for (std::size_t i = events.size(); i-- > events.size() - shown;) {
    const metrics::EventRow& row = events[i];
    out += fmt::format("<tr><td>{}</td><td{}>{}</td><td>{}</td><td>{}</td></tr>\n",
                       readable_count(row.step), is_trouble(row.event) ? " class=\"bad\"" : "",
                       escaped(words(row.event)), escaped(row.message), readable_time(row.time));
  }
  out += "</table></div>\n";
  if (run.history.all_events > static_cast<std::int64_t>(shown)) {
    out +=
        fmt::format("<p class=\"sub\">The newest {} of {} events; all are in metrics.jsonl.</p>\n",
                    shown, readable_count(run.history.all_events));
  }
  return out;
}

std::string continue_html(const Run& run) {
  const RunSummary& summary = run.summary;
  const std::string config = path_word(summary.directory / "config.yaml");
  std::string out = "<h2>How to continue</h2>\n";
  const bool diverged =
      !run.history.events.empty() && run.history.events.back().event == "diverged";
  if (diverged && summary.status == RunStatus::kStopped) {
    const auto rate = summary.config.find("optimizer.learning_rate");
    out += command(
        "The run diverged. It continues from its newest checkpoint; take a lower learning rate" +
            (rate == summary.config.end() ? std::string() : " than " + escaped(rate->second)) + ":",
        fmt::format("ovid train {} optimizer.learning_rate=...", config));
  } else if (summary.status == RunStatus::kDone && summary.steps) {
    out += command("The run is complete. To train on, raise the number of steps:",
                   fmt::format("ovid train {} training.steps={}", config,
                               summary.step < INT64_MAX / 2 ? summary.step * 2 : summary.step));
  } else {
    out += command(summary.status == RunStatus::kRunning
                       ? "The run is under way. Should it stop, it continues from its newest "
                         "checkpoint with:"
                       : "The run continues from its newest checkpoint with:",
                   "ovid train " + config);
  }
  if (summary.checkpoints.empty()) return out;
  const std::string newest = path_word(summary.directory / "checkpoints" /
                                       fmt::format("step-{:08}", summary.checkpoints.back()));
  out += command("Text from its newest checkpoint:",
                 fmt::format("ovid generate --model {} --prompt \"Once upon a time\"", newest));
  out += "<p class=\"sub\">Checkpoints: ";
  constexpr std::size_t kMostShown = 50;
  const std::size_t count = summary.checkpoints.size();
  if (count > kMostShown) out += "\xe2\x80\xa6 ";
  for (std::size_t i = count - std::min(count, kMostShown); i < count; ++i) {
    const std::int64_t step = summary.checkpoints[i];
    const bool best = summary.best_validation_loss && step == summary.best_step;
    out += fmt::format("{}step {}{}", i == count - std::min(count, kMostShown) ? "" : ", ",
                       readable_count(step), best ? " (best validation)" : "");
  }
  return out + ".</p>\n";
}

}  // namespace ovid::report
