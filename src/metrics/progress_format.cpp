#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <vector>

#include "src/metrics/progress_line.h"

namespace ovid::metrics {
namespace {

constexpr int kBarCells = 20;

// Three digits, as far as they tell something.
std::string three_digits(double value) {
  if (value < 9.995) return fmt::format("{:.2f}", value);
  if (value < 99.95) return fmt::format("{:.1f}", value);
  return fmt::format("{:.0f}", value);
}

std::string gradient_norm_text(double value) {
  return value < 0.01 || value >= 1000.0 ? fmt::format("{:.1e}", value)
                                         : fmt::format("{:.2f}", value);
}

// "412 GFLOP/s 78 %"; without the share where the peak is unknown.
std::string arithmetic_speed(double flops, double peak) {
  const std::string speed = flops < 999.5e9 ? three_digits(flops * 1e-9) + " GFLOP/s"
                                            : three_digits(flops * 1e-12) + " TFLOP/s";
  if (!std::isfinite(peak) || peak <= 0.0) return speed;
  return fmt::format("{} {:.0f} %", speed, 100.0 * flops / peak);
}

std::string bar(double share) {
  const int full = std::clamp(static_cast<int>(share * kBarCells), 0, kBarCells);
  return fmt::format("[{:=<{}}{:{}}]  ", "", full, "", kBarCells - full);
}

}  // namespace

std::string format_count(double value) {
  if (!std::isfinite(value) || value < 0.0) return fmt::format("{}", value);
  if (value < 9.95) return fmt::format("{:.1f}", value);
  if (value < 999.5) return fmt::format("{:.0f}", value);
  constexpr std::array<std::string_view, 4> kUnits{"k", "M", "G", "T"};
  std::size_t unit = 0;
  value /= 1e3;
  while (value >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1e3;
    ++unit;
  }
  return three_digits(value) + std::string(kUnits[unit]);
}

std::string format_duration(double seconds) {
  constexpr double kLongest = 1e11;  // 3,000 years: a rate of almost nothing
  if (!std::isfinite(seconds) || seconds < 0.0 || seconds > kLongest) return "?";
  const auto total = static_cast<std::int64_t>(std::llround(seconds));
  if (total < 60) return fmt::format("{}s", total);
  if (total < 3600) return fmt::format("{}m{:02}s", total / 60, total % 60);
  const std::int64_t minutes = (total + 30) / 60;
  if (minutes < 24 * 60) return fmt::format("{}h{:02}m", minutes / 60, minutes % 60);
  const std::int64_t hours = (minutes + 30) / 60;
  return fmt::format("{}d{:02}h", hours / 24, hours % 24);
}

std::string format_progress(const ProgressStep& step, const ProgressOptions& options,
                            const RateEstimator& rate, int width) {
  const std::int64_t total_steps = options.total_steps;
  const double share =
      total_steps > 0 ? static_cast<double>(step.step) / static_cast<double>(total_steps) : 1.0;
  std::vector<std::string> fields;
  fields.push_back(fmt::format("step {}/{}", step.step, total_steps));
  fields.push_back(fmt::format("{:.1f} %", 100.0 * share));
  fields.push_back(fmt::format("loss {:.3f}", step.loss));
  fields.push_back(fmt::format("lr {:.1e}", step.learning_rate));
  fields.push_back(fmt::format("|g| {}", gradient_norm_text(step.gradient_norm)));
  if (const auto speed = rate.tokens_per_second())
    fields.push_back(format_count(*speed) + " tok/s");
  const auto left = rate.seconds_left(total_steps - step.step);
  if (left && step.step < total_steps) fields.push_back("ETA " + format_duration(*left));
  if (step.validation_loss) fields.push_back(fmt::format("val {:.3f}", *step.validation_loss));
  if (const auto flops = rate.flops_per_second())
    fields.push_back(arithmetic_speed(*flops, options.peak_flops_per_second));
  if (step.epoch) fields.push_back(fmt::format("epoch {:.2f}", *step.epoch));

  std::string line = fields.front();
  const auto limit = static_cast<std::size_t>(std::max(0, width));
  for (std::size_t i = 1; i < fields.size(); ++i) {
    if (limit > 0 && line.size() + 2 + fields[i].size() > limit) break;
    line += "  " + fields[i];
  }
  if (limit == 0) return line;
  if (const std::string front = bar(share); front.size() + line.size() <= limit)
    return front + line;
  return line.substr(0, limit);
}

}  // namespace ovid::metrics
