#include "src/report/series.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace ovid::report {
namespace {

// Which of `bins` stretches of [first, last] holds x.
std::size_t bin_of(double x, double first, double last, std::size_t bins) {
  if (last <= first) return 0;
  const double position = (x - first) / (last - first) * static_cast<double>(bins);
  return std::min(bins - 1, static_cast<std::size_t>(std::max(0.0, position)));
}

double round_step(double rough) {
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 2.5, 5.0}) {
    if (rough <= factor * power * (1.0 + 1e-9)) return factor * power;
  }
  return 10.0 * power;
}

// A range that has a width, and can be divided.
Range usable(Range range) {
  constexpr double kLargest = 1e300;
  range.low = std::clamp(std::isfinite(range.low) ? range.low : 0.0, -kLargest, kLargest);
  range.high = std::clamp(std::isfinite(range.high) ? range.high : 1.0, -kLargest, kLargest);
  const double least = std::max(std::abs(range.low), std::abs(range.high)) * 1e-6;
  if (range.high - range.low <= least) {
    const double middle = (range.low + range.high) / 2.0;
    const double half = middle == 0.0 ? 0.5 : std::abs(middle) * 0.05;
    return {middle - half, middle + half};
  }
  return range;
}

void add_ticks(Axis& axis) {
  const double step = axis.tick_step;
  const double first = std::ceil(axis.range.low / step - 1e-6);
  const double last = std::floor(axis.range.high / step + 1e-6);
  for (double i = first; i <= last && axis.ticks.size() < 100; ++i)
    axis.ticks.push_back(i == 0.0 ? 0.0 : i * step);
}

// Digits after the point that tell multiples of `step` apart.
int decimals(double step) {
  for (int digits = 0; digits < 9; ++digits) {
    const double scaled = step * std::pow(10.0, digits);
    if (std::abs(scaled - std::round(scaled)) < 1e-6 * scaled) return digits;
  }
  return 9;
}

std::string without_trailing_zeros(std::string text) {
  if (text.find('.') == std::string::npos) return text;
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

}  // namespace

std::vector<Span> envelope(const std::vector<Point>& points, std::size_t bins) {
  std::vector<Span> spans;
  if (points.empty() || bins == 0) return spans;
  const double first = points.front().x, last = points.back().x;
  std::size_t current = bins;  // none
  for (const Point& point : points) {
    if (!std::isfinite(point.y)) continue;
    const std::size_t bin = bin_of(point.x, first, last, bins);
    if (bin != current) {
      const double middle = (static_cast<double>(bin) + 0.5) / static_cast<double>(bins);
      spans.push_back({first + middle * (last - first), point.y, point.y});
      current = bin;
    }
    spans.back().low = std::min(spans.back().low, point.y);
    spans.back().high = std::max(spans.back().high, point.y);
  }
  return spans;
}

std::vector<Point> thinned(const std::vector<Point>& points, std::size_t bins) {
  std::vector<Point> out;
  if (points.empty() || bins == 0) return out;
  const double first = points.front().x, last = points.back().x;
  const bool all = points.size() <= bins + 1;
  std::size_t current = bins;
  for (const Point& point : points) {
    if (!std::isfinite(point.y)) continue;
    const std::size_t bin = bin_of(point.x, first, last, bins);
    // The very first point stays, so that the curve begins where the run does.
    if (all || out.size() <= 1 || bin != current) {
      out.push_back(point);
    } else {
      out.back() = point;
    }
    current = bin;
  }
  return out;
}

std::vector<Point> smoothed(const std::vector<Point>& points, double window) {
  double average = 0.0, seen = 0.0;
  std::vector<Point> out;
  out.reserve(points.size());
  for (const Point& point : points) {
    if (!std::isfinite(point.y)) {
      out.push_back(point);
      continue;
    }
    average += (point.y - average) / std::max(1.0, std::min(window, 1.0 + 0.1 * seen));
    seen += 1.0;
    out.push_back({point.x, average});
  }
  return out;
}

std::optional<Range> quantile_range(const std::vector<Point>& points, double from, double to) {
  std::vector<double> values;
  values.reserve(points.size());
  for (const Point& point : points) {
    if (std::isfinite(point.y)) values.push_back(point.y);
  }
  if (values.empty()) return std::nullopt;
  const auto at = [&](double quantile) {
    const double index = quantile * static_cast<double>(values.size() - 1);
    const auto place = values.begin() + static_cast<std::ptrdiff_t>(std::llround(index));
    std::nth_element(values.begin(), place, values.end());
    return *place;
  };
  const double low = at(from);
  return Range{low, at(to)};
}

Axis fit_axis(Range range, int wanted) {
  Axis axis{usable(range), {}, 1.0};
  axis.tick_step = round_step((axis.range.high - axis.range.low) / std::max(1, wanted));
  axis.range.low = std::floor(axis.range.low / axis.tick_step + 1e-6) * axis.tick_step;
  axis.range.high = std::ceil(axis.range.high / axis.tick_step - 1e-6) * axis.tick_step;
  add_ticks(axis);
  return axis;
}

Axis exact_axis(Range range, int wanted) {
  Axis axis{usable(range), {}, 1.0};
  axis.tick_step = round_step((axis.range.high - axis.range.low) / std::max(1, wanted));
  add_ticks(axis);
  return axis;
}

std::string tick_label(double value, double tick_step) {
  if (value == 0.0) return "0";
  const double size = std::abs(value);
  if (tick_step < 0.9e-3 || size >= 1e12) {
    // "6.0e-04" as people write it.
    const int exponent = static_cast<int>(std::floor(std::log10(size) + 1e-9));
    const double mantissa = value / std::pow(10.0, exponent);
    return without_trailing_zeros(fmt::format("{:.2f}", mantissa)) + fmt::format("e{}", exponent);
  }
  for (const auto& [unit, letter] : {std::pair{1e9, "G"}, {1e6, "M"}, {1e3, "k"}}) {
    if (size >= unit && tick_step >= unit / 10.0)
      return without_trailing_zeros(fmt::format("{:.3f}", value / unit)) + letter;
  }
  return fmt::format("{:.{}f}", value, decimals(tick_step));
}

}  // namespace ovid::report
