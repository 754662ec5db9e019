#include "src/report/series.h"

#include <cmath>
#include <cstdint>
#include <limits>

#include "src/report/sparkline.h"
#include "tests/catch.h"

namespace ovid::report {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::vector<Point> line(int count) {
  std::vector<Point> points;
  for (int i = 0; i < count; ++i) points.push_back({double(i), double(i % 100)});
  return points;
}

}  // namespace

TEST_CASE("an envelope keeps the least and greatest value of every stretch", "[report]") {
  std::vector<Point> points(100'000);
  for (std::size_t i = 0; i < points.size(); ++i) points[i] = {double(i), 1.0};
  points[33'333].y = 9.0;
  points[77'777].y = -9.0;
  points[5].y = kNan;
  const std::vector<Span> spans = envelope(points, 400);
  REQUIRE(spans.size() == 400);
  int high = 0, low = 0;
  for (const Span& span : spans) {
    high += span.high == 9.0 ? 1 : 0;
    low += span.low == -9.0 ? 1 : 0;
    CHECK(span.low <= span.high);
  }
  CHECK(high == 1);
  CHECK(low == 1);
  CHECK(envelope({}, 400).empty());
  CHECK(envelope({{3.0, kNan}}, 400).empty());
  CHECK(envelope({{3.0, 2.0}}, 400).size() == 1);
}

TEST_CASE("a thinned curve begins and ends where the whole one does", "[report]") {
  CHECK(thinned(line(300), 400).size() == 300);
  const std::vector<Point> few = thinned(line(100'000), 400);
  CHECK(few.size() <= 402);
  CHECK(few.front().x == 0.0);
  CHECK(few.back().x == 99'999.0);
  CHECK(thinned({{1.0, kNan}, {2.0, 5.0}}, 10).size() == 1);
}

TEST_CASE("smoothing follows a steep start, and one NaN does not spoil it", "[report]") {
  const std::vector<Point> smooth =
      smoothed({{0.0, 10.0}, {1.0, 4.0}, {2.0, kNan}, {3.0, 4.0}, {4.0, 4.0}}, 1000.0);
  REQUIRE(smooth.size() == 5);
  CHECK(smooth[0].y == 10.0);
  CHECK(smooth[1].y == Approx(10.0 - 6.0 / 1.1));
  CHECK(std::isnan(smooth[2].y));
  CHECK(smooth[4].y == Approx(4.0).margin(0.1));
}

TEST_CASE("axes have round ticks and hold their range", "[report]") {
  const Axis axis = fit_axis({2.93, 4.41}, 5);
  CHECK(axis.tick_step == 0.5);
  CHECK(axis.range.low == 2.5);
  CHECK(axis.range.high == 4.5);
  CHECK(axis.ticks == std::vector<double>{2.5, 3.0, 3.5, 4.0, 4.5});
  CHECK(exact_axis({0.0, 15780.0}, 6).ticks == std::vector<double>{0.0, 5000.0, 10000.0, 15000.0});
  for (const Range range :
       {Range{3.0, 3.0}, Range{0.0, 0.0}, Range{kNan, kNan}, Range{-1e308, 1e308},
        Range{1.0, std::numeric_limits<double>::infinity()}, Range{5.0, 1.0}, Range{0.0, 1e-300},
        Range{1e15, 1e15 + 1.0}}) {
    for (const Axis& hard : {fit_axis(range, 5), exact_axis(range, 5)}) {
      CHECK(hard.range.low < hard.range.high);
      CHECK(std::isfinite(hard.range.high - hard.range.low));
      CHECK(hard.ticks.size() <= 100);
    }
  }
}

TEST_CASE("tick labels are short and tell neighbours apart", "[report]") {
  CHECK(tick_label(0.0, 1.0) == "0");
  CHECK(tick_label(3.5, 0.5) == "3.5");
  CHECK(tick_label(3.0, 0.5) == "3.0");
  CHECK(tick_label(3.125, 0.025) == "3.125");
  CHECK(tick_label(4.0, 1.0) == "4");
  CHECK(tick_label(500.0, 500.0) == "500");
  CHECK(tick_label(1500.0, 500.0) == "1.5k");
  CHECK(tick_label(750e3, 250e3) == "750k");
  CHECK(tick_label(1e6, 250e3) == "1M");
  CHECK(tick_label(50'025.0, 25.0) == "50025");
  CHECK(tick_label(6e-4, 2e-4) == "6e-4");
  CHECK(tick_label(2.5e-5, 2.5e-5) == "2.5e-5");
  CHECK(tick_label(1e300, 5e299) == "1e300");
}

TEST_CASE("a sparkline is as wide as asked and low where the values are", "[report]") {
  CHECK(sparkline({}, 10).empty());
  CHECK(sparkline({{0, kNan}}, 10).empty());
  CHECK(sparkline({{0, 1.0}}, 10) == "▁");
  CHECK(sparkline({{0, 8.0}, {1, 4.0}, {2, 0.0}}, 10) == "█▅▁");
  CHECK(sparkline(line(1000), 4).size() == 4 * std::string("█").size());
}

}  // namespace ovid::report
