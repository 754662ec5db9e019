#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// What turns rows into the points and axes of a chart.
namespace ovid::report {

struct Point {
  double x = 0.0;
  double y = 0.0;
};

// The least and the greatest value of a stretch of a curve.
struct Span {
  double x = 0.0;  // of its middle
  double low = 0.0;
  double high = 0.0;
};

// Points with ascending x in at most `bins` stretches of equal width; stretches without a finite
// value are left out.
std::vector<Span> envelope(const std::vector<Point>& points, std::size_t bins);

// At most `bins` + 1 of the points, the last of each stretch and the first of all; all of them
// where they are no more than that. Those that are not finite are left out.
std::vector<Point> thinned(const std::vector<Point>& points, std::size_t bins);

// Exponential moving average over about `window` points; at the start over a tenth of the points so
// far, so that it does not trail behind a steep fall. Points that are not finite stay as they are
// and enter no average.
std::vector<Point> smoothed(const std::vector<Point>& points, double window);

struct Range {
  double low = 0.0;
  double high = 1.0;
};

// Low and high of the finite values that lie between the quantiles `from` and `to`; nothing where
// there is none.
std::optional<Range> quantile_range(const std::vector<Point>& points, double from, double to);

// An axis: round ticks (1, 2, 2.5 or 5 times a power of ten apart), about `wanted` of them, inside
// a range that `fit_axis` widens to hold at least `range`.
struct Axis {
  Range range;
  std::vector<double> ticks;
  double tick_step = 1.0;
};
Axis fit_axis(Range range, int wanted);
// The same without widening: ticks lie inside `range`, which is kept.
Axis exact_axis(Range range, int wanted);

// "0.25", "6e-4", "12k", "1.5M": as many digits as ticks `tick_step` apart need.
std::string tick_label(double value, double tick_step);

}  // namespace ovid::report
