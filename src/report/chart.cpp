#include "src/report/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "src/report/html.h"

namespace ovid::report {
namespace {

constexpr std::size_t kBins = 400;
constexpr double kWidth = 1000.0;  // of the SVG's own coordinates
constexpr double kHeight = 1000.0;
constexpr std::size_t kMostDots = 80;
constexpr std::size_t kMostMarks = 200;

// From data to the SVG's coordinates.
struct Scale {
  Range x;
  Range y;

  double to_x(double value) const { return (value - x.low) / (x.high - x.low) * kWidth; }
  // What leaves the frame goes on a little outside of it, where it is cut off.
  double to_y(double value) const {
    const double share = (value - y.low) / (y.high - y.low);
    return (1.0 - std::clamp(share, -0.5, 1.5)) * kHeight;
  }
  std::string at(double px, double py) const {
    return fmt::format("{:.1f} {:.1f}", to_x(px), to_y(py));
  }
};

std::string line_path(const std::vector<Point>& points, const Scale& scale) {
  std::string path;
  for (const Point& p : points) path += (path.empty() ? "M" : "L") + scale.at(p.x, p.y);
  if (points.size() == 1) path += "h0";
  return path;
}

// Around the area: its upper edge forwards, its lower edge back.
std::string band_path(const std::vector<Span>& spans, const Scale& scale) {
  std::string path;
  for (const Span& s : spans) path += (path.empty() ? "M" : "L") + scale.at(s.x, s.high);
  for (std::size_t i = spans.size(); i-- > 0;) path += "L" + scale.at(spans[i].x, spans[i].low);
  return path.empty() ? path : path + "Z";
}

std::string path_element(std::string_view classes, const std::string& path) {
  if (path.empty()) return "";
  return fmt::format("<path class=\"{}\" d=\"{}\"/>", classes, path);
}

std::string dots(const Curve& curve, const std::vector<Point>& points, const Scale& scale) {
  std::string out;
  for (const Point& p : points) {
    if (p.y < scale.y.low || p.y > scale.y.high) continue;
    out += fmt::format("<path class=\"dot {}\" d=\"M{}h0\"><title>step {}: {}</title></path>",
                       curve.css_class, scale.at(p.x, p.y),
                       readable_count(static_cast<std::int64_t>(p.x)), readable_loss(p.y));
  }
  return out;
}

std::string curve_svg(const Curve& curve, const Scale& scale) {
  if (curve.style == LineStyle::kBand && curve.points.size() > kBins) {
    return path_element("band " + curve.css_class, band_path(envelope(curve.points, kBins), scale));
  }
  const std::vector<Point> points = thinned(curve.points, kBins);
  if (curve.style == LineStyle::kBand)
    return path_element("pale " + curve.css_class, line_path(points, scale));
  std::string out = path_element("line " + curve.css_class, line_path(points, scale));
  if (curve.style == LineStyle::kDotted) out += dots(curve, thinned(points, kMostDots), scale);
  return out;
}

std::string grid_svg(const Axis& x, const Axis& y, const Scale& scale) {
  std::string path;
  for (const double tick : y.ticks) path += fmt::format("M0 {:.1f}H1000", scale.to_y(tick));
  std::string out = path_element("grid", path);
  path.clear();
  for (const double tick : x.ticks) path += fmt::format("M{:.1f} 1000V985", scale.to_x(tick));
  return out + path_element("grid", path);
}

std::string marks_svg(const Chart& chart, const Scale& scale) {
  std::string out;
  std::size_t count = 0;
  for (const Mark& mark : chart.marks) {
    if (mark.x < scale.x.low || mark.x > scale.x.high || ++count > kMostMarks) continue;
    out += fmt::format("<path class=\"mark {}\" d=\"M{:.1f} 0V1000\"><title>{}</title></path>",
                       mark.css_class, scale.to_x(mark.x), escaped(mark.title));
  }
  return out;
}

std::string axis_labels(const Axis& x, const Axis& y, const Scale& scale) {
  std::string out;
  for (const double tick : y.ticks) {
    out += fmt::format("<span class=\"y\" style=\"top:{:.2f}%\">{}</span>",
                       scale.to_y(tick) * 100.0 / kHeight, tick_label(tick, y.tick_step));
  }
  for (const double tick : x.ticks) {
    const double left = scale.to_x(tick) * 100.0 / kWidth;
    out += fmt::format("<span class=\"x{}\" style=\"left:{:.2f}%\">{}</span>",
                       left > 96.0 ? " last" : "", left, tick_label(tick, x.tick_step));
  }
  return out;
}

// Names at the right of the curves' ends, pushed apart where they would overlap.
std::string curve_labels(const Chart& chart, const Scale& scale) {
  struct Label {
    double top;
    const Curve* curve;
  };
  std::vector<Label> labels;
  for (const Curve& curve : chart.curves) {
    if (curve.name.empty()) continue;
    const auto end = std::find_if(curve.points.rbegin(), curve.points.rend(),
                                  [](const Point& p) { return std::isfinite(p.y); });
    if (end == curve.points.rend()) continue;
    const double top = scale.to_y(std::clamp(end->y, scale.y.low, scale.y.high)) * 100.0 / kHeight;
    labels.push_back({top, &curve});
  }
  std::sort(labels.begin(), labels.end(),
            [](const Label& a, const Label& b) { return a.top < b.top; });
  constexpr double kApart = 13.0;  // per cent of the height: two lines of a label
  for (std::size_t i = 1; i < labels.size(); ++i)
    labels[i].top = std::max(labels[i].top, labels[i - 1].top + kApart);
  double bottom = 97.0;
  for (std::size_t i = labels.size(); i-- > 0; bottom = labels[i].top - kApart)
    if (labels[i].top > bottom) labels[i].top = bottom;
  std::string out;
  for (const Label& label : labels) {
    out += fmt::format("<span class=\"name {}\" style=\"top:{:.2f}%\">{}</span>",
                       label.curve->css_class, label.top, escaped(label.curve->name));
  }
  return out;
}

}  // namespace

std::string chart_html(const Chart& chart) {
  const Axis x = exact_axis(chart.x, chart.small ? 4 : 6);
  const Axis y = chart.y_exact_low ? exact_axis(chart.y, chart.small ? 3 : 5)
                                   : fit_axis(chart.y, chart.small ? 3 : 5);
  const Scale scale{x.range, y.range};
  std::string svg = grid_svg(x, y, scale) + marks_svg(chart, scale);
  for (const Curve& curve : chart.curves) svg += curve_svg(curve, scale);
  const bool named = std::any_of(chart.curves.begin(), chart.curves.end(),
                                 [](const Curve& curve) { return !curve.name.empty(); });
  return fmt::format(
      "<figure class=\"{}\"><figcaption><b>{}</b> <span>{}</span></figcaption>"
      "<div class=\"plot{}\"><svg viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\" "
      "role=\"img\" aria-label=\"{} by step\">{}</svg>{}{}</div>"
      "<p class=\"under\"><span>step</span>{}</p></figure>\n",
      chart.small ? "small" : "large", escaped(chart.title), escaped(chart.y_unit),
      named ? " named" : "", escaped(chart.title), svg, axis_labels(x, y, scale),
      curve_labels(chart, scale),
      chart.note.empty() ? "" : "<span class=\"note\">" + escaped(chart.note) + "</span>");
}

}  // namespace ovid::report
