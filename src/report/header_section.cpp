#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "src/metrics/progress_line.h"
#include "src/report/html.h"
#include "src/report/page_sections.h"

namespace ovid::report {
namespace {

std::string tile(std::string_view name, const std::string& value, const std::string& below) {
  return fmt::format("<div><dt>{}</dt><dd>{}<small>{}</small></dd></div>", name, escaped(value),
                     escaped(below));
}

// Seconds spent in the steps themselves, from their tokens and speeds.
double seconds_of_steps(const std::vector<metrics::StepRow>& steps) {
  double seconds = 0.0;
  std::int64_t tokens = 0;
  for (const metrics::StepRow& row : steps) {
    if (row.tokens > tokens && row.tokens_per_second > 0.0)
      seconds += static_cast<double>(row.tokens - tokens) / row.tokens_per_second;
    tokens = row.tokens;
  }
  return std::isfinite(seconds) ? seconds : 0.0;
}

std::string loss_tiles(const RunSummary& summary) {
  std::string out;
  if (summary.loss) {
    out += tile("Training loss", readable_loss(*summary.loss),
                fmt::format("of step {}", readable_count(summary.step)));
  }
  if (summary.validation_loss) {
    out += tile("Validation loss", readable_loss(*summary.validation_loss),
                fmt::format("perplexity {:.4g}", std::exp(*summary.validation_loss)));
  }
  if (summary.best_validation_loss) {
    out += tile("Best validation", readable_loss(*summary.best_validation_loss),
                fmt::format("at step {}", readable_count(summary.best_step)));
  }
  return out;
}

std::string arithmetic_speed(double flops) {
  return flops < 999.5e9 ? fmt::format("{:.3g} GFLOP/s", flops * 1e-9)
                         : fmt::format("{:.3g} TFLOP/s", flops * 1e-12);
}

std::string speed_tile(const Run& run) {
  if (!run.summary.tokens_per_second) return "";
  std::string below = "median of the last steps";
  if (const auto flops = run.history.steps.back().flops_per_second)
    below = arithmetic_speed(*flops);
  return tile("Tokens per second", metrics::format_count(*run.summary.tokens_per_second), below);
}

}  // namespace

std::string header_html(const Run& run) {
  const RunSummary& summary = run.summary;
  std::string subtitle = summary.steps ? fmt::format("step {} of {}", readable_count(summary.step),
                                                     readable_count(*summary.steps))
                                       : fmt::format("step {}", readable_count(summary.step));
  if (const std::string time = readable_time(summary.last_change); !time.empty())
    subtitle += " \xc2\xb7 last row " + time;
  const double share = summary.steps && *summary.steps > 0
                           ? static_cast<double>(summary.step) / static_cast<double>(*summary.steps)
                           : 1.0;
  std::string out = fmt::format(
      "<header><div class=\"head\"><h1>{}</h1><span class=\"status {}\">{}</span></div>"
      "<p class=\"sub\">{}</p><div class=\"bar\"><i style=\"width:{:.2f}%\"></i></div>\n",
      escaped(summary.name), to_string(summary.status), to_string(summary.status), subtitle,
      100.0 * std::clamp(share, 0.0, 1.0));
  out += "<dl class=\"tiles\">" + loss_tiles(summary);
  if (summary.tokens > 0) {
    out += tile("Tokens trained on", metrics::format_count(static_cast<double>(summary.tokens)),
                readable_count(summary.tokens));
  }
  out += speed_tile(run);
  if (const double seconds = seconds_of_steps(run.history.steps); seconds > 0.0)
    out +=
        tile("Time in steps", metrics::format_duration(seconds), "without validation and saving");
  return out + "</dl></header>\n";
}

}  // namespace ovid::report
