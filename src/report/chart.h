#pragma once

#include <optional>
#include <string>
#include <vector>

#include "src/report/series.h"

namespace ovid::report {

enum class LineStyle {
  kBand,  // a pale area between the least and the greatest value, or a pale line
  kLine,
  kDotted,  // a line with a dot at each point, each with its value as a tooltip
};

struct Curve {
  std::string name;       // the label at its end; empty: none
  std::string css_class;  // gives the colour
  LineStyle style = LineStyle::kLine;
  std::vector<Point> points;  // ascending x
};

// A vertical mark on the x axis.
struct Mark {
  double x = 0.0;
  std::string css_class;
  std::string title;
};

struct Chart {
  std::string title;
  std::string y_unit;  // behind the title: "nats per token"
  std::string note;    // below; may be empty
  bool small = false;
  std::vector<Curve> curves;
  std::vector<Mark> marks;
  Range x;
  Range y;                   // what the y axis must hold
  bool y_exact_low = false;  // the axis begins at y.low and not at a round number below it
};

// A figure: an SVG of the curves that stretches with the page, and axis labels as text over it,
// so that they keep their size on every screen. At most some hundred points a curve, whatever their
// number was. Names and titles are escaped here.
std::string chart_html(const Chart& chart);

}  // namespace ovid::report
