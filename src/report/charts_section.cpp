#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "src/metrics/progress_line.h"
#include "src/report/chart.h"
#include "src/report/html.h"
#include "src/report/page_sections.h"

namespace ovid::report {
namespace {

using Steps = std::vector<metrics::StepRow>;

std::vector<Point> points_of(const Steps& steps, double metrics::StepRow::*value) {
  std::vector<Point> points;
  points.reserve(steps.size());
  for (const metrics::StepRow& row : steps)
    points.push_back({static_cast<double>(row.step), row.*value});
  return points;
}

double smoothing_window(const Steps& steps) {
  const auto count = static_cast<double>(steps.size());
  return std::max({1.0, count / 100.0, std::min(20.0, count / 20.0)});
}

Range united(const std::optional<Range>& a, const std::optional<Range>& b) {
  if (!a || !b) return a.value_or(b.value_or(Range{}));
  return {std::min(a->low, b->low), std::max(a->high, b->high)};
}

std::vector<Point> after(const std::vector<Point>& points, double x) {
  std::vector<Point> out;
  std::copy_if(points.begin(), points.end(), std::back_inserter(out),
               [x](const Point& p) { return p.x >= x; });
  return out;
}

// What the loss axis shows: rare outliers of single steps are left out.
Range loss_range(const std::vector<Point>& raw, const std::vector<Point>& smooth,
                 const std::vector<Point>& validation) {
  const Range curves =
      united(quantile_range(smooth, 0.0, 1.0), quantile_range(validation, 0.0, 1.0));
  return united(curves, quantile_range(raw, 0.005, 0.995));
}

Range step_range(const Steps& steps, const std::vector<Point>& validation) {
  Range range{1e300, 0.0};
  if (!steps.empty()) {
    range = {static_cast<double>(steps.front().step), static_cast<double>(steps.back().step)};
  }
  if (!validation.empty()) {
    range = {std::min(range.low, validation.front().x), std::max(range.high, validation.back().x)};
  }
  if (range.low < 0.05 * range.high) range.low = 0.0;
  return range.low <= range.high ? range : Range{};
}

std::vector<Mark> marks_of(const Run& run) {
  std::vector<Mark> marks;
  for (const metrics::EventRow& row : run.history.events) {
    const bool skip = row.event.find("skip") != std::string::npos || row.event == "diverged";
    if (!skip && row.event != "resumed") continue;
    marks.push_back({static_cast<double>(row.step), skip ? "skip" : "resume",
                     fmt::format("step {}: {}", row.step, row.event)});
  }
  return marks;
}

std::string loss_note(const std::vector<Point>& raw, double window, double above) {
  std::string note =
      window < 2.0 ? "every step" : fmt::format("smoothed over {:.0f} steps", window);
  if (above > 0.0) note += fmt::format("; the first steps, up to {:.2f}, lie above", above);
  const auto missing =
      std::count_if(raw.begin(), raw.end(), [](const Point& p) { return !std::isfinite(p.y); });
  if (missing > 0) note += fmt::format("; {} not finite", missing);
  return note;
}

Chart loss_chart(const Run& run) {
  const std::vector<Point> raw = points_of(run.history.steps, &metrics::StepRow::loss);
  std::vector<Point> validation, averaged;
  for (const metrics::ValidationRow& row : run.history.validations) {
    validation.push_back({static_cast<double>(row.step), row.validation_loss});
    if (row.average_validation_loss)
      averaged.push_back({static_cast<double>(row.step), *row.average_validation_loss});
  }
  const double window = smoothing_window(run.history.steps);
  const std::vector<Point> smooth = smoothed(raw, window);

  Chart chart;
  chart.title = "Loss";
  chart.y_unit = "nats per token";
  chart.x = step_range(run.history.steps, validation);
  std::vector<Point> held_out = validation;
  held_out.insert(held_out.end(), averaged.begin(), averaged.end());
  chart.y = loss_range(raw, smooth, held_out);
  // The fall of the first steps would leave the rest of the run a flat line at the bottom.
  const double settled = chart.x.low + 0.05 * (chart.x.high - chart.x.low);
  const Range rest =
      loss_range(after(raw, settled), after(smooth, settled), after(held_out, settled));
  const double headroom = 0.15 * (rest.high - rest.low);
  double above = 0.0;
  if (raw.size() >= 100 && rest.high > rest.low && chart.y.high > rest.high + 4.0 * headroom) {
    above = chart.y.high;
    chart.y = {rest.low, rest.high + headroom};
  }
  chart.note = loss_note(raw, window * static_cast<double>(run.history.stride), above);
  chart.marks = marks_of(run);
  if (!chart.marks.empty()) chart.note += "; dashed: updates skipped (red), resumed (grey)";
  const auto named = [](const char* name, const std::vector<Point>& points) {
    if (points.empty()) return std::string(name);
    const double newest = points.back().y;
    return std::abs(newest) < 1e4 ? fmt::format("{} {:.3f}", name, newest)
                                  : fmt::format("{} {:.1e}", name, newest);
  };
  chart.curves.push_back({"", "train", LineStyle::kBand, raw});
  chart.curves.push_back({named("training", smooth), "train", LineStyle::kLine, smooth});
  if (!validation.empty()) {
    chart.curves.push_back(
        {named("validation", validation), "valid", LineStyle::kDotted, validation});
  }
  if (!averaged.empty()) {
    chart.curves.push_back(
        {named("averaged weights", averaged), "rate", LineStyle::kDotted, averaged});
  }
  return chart;
}

struct SmallChart {
  const char* title;
  const char* unit;
  const char* css_class;
  double metrics::StepRow::*value;
  bool smooth;  // a band of all steps with a smoothed line, not a line through the steps
};

std::string small_chart(const Run& run, const SmallChart& what) {
  const std::vector<Point> points = points_of(run.history.steps, what.value);
  const auto range = quantile_range(points, 0.0, what.smooth ? 0.99 : 1.0);
  if (!range) return "";
  Chart chart;
  chart.title = what.title;
  chart.y_unit = what.unit;
  chart.small = true;
  chart.x = step_range(run.history.steps, {});
  chart.y = {std::min(0.0, range->low), range->high > 0.0 ? range->high : 1.0};
  if (what.smooth) {
    chart.curves.push_back({"", what.css_class, LineStyle::kBand, points});
    chart.curves.push_back({"", what.css_class, LineStyle::kLine,
                            smoothed(points, smoothing_window(run.history.steps))});
  } else {
    chart.curves.push_back({"", what.css_class, LineStyle::kLine, points});
  }
  return chart_html(chart);
}

}  // namespace

std::string charts_html(const Run& run) {
  if (run.history.steps.empty() && run.history.validations.empty()) return "";
  std::string out = "<h2>Curves</h2>\n" + chart_html(loss_chart(run));
  if (run.history.steps.empty()) return out;
  out += "<div class=\"charts\">\n";
  out += small_chart(run, {"Learning rate", "", "rate", &metrics::StepRow::learning_rate, false});
  out += small_chart(
      run, {"Gradient norm", "before clipping", "norm", &metrics::StepRow::gradient_norm, true});
  out += small_chart(
      run, {"Speed", "tokens per second", "speed", &metrics::StepRow::tokens_per_second, true});
  return out + "</div>\n";
}

}  // namespace ovid::report
