#include "src/report/sparkline.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

namespace ovid::report {

std::string sparkline(const std::vector<Point>& points, std::size_t width) {
  std::vector<double> values;
  for (const Point& point : points) {
    if (std::isfinite(point.y)) values.push_back(point.y);
  }
  const std::size_t cells = std::min(values.size(), width);
  if (cells == 0) return "";
  std::vector<double> means;
  for (std::size_t cell = 0; cell < cells; ++cell) {
    const std::size_t begin = cell * values.size() / cells;
    const std::size_t end = (cell + 1) * values.size() / cells;
    double mean = 0.0;
    for (std::size_t i = begin; i < end; ++i) mean += values[i] / static_cast<double>(end - begin);
    means.push_back(mean);
  }
  const auto [low, high] = std::minmax_element(means.begin(), means.end());
  constexpr std::array<std::string_view, 8> kBlocks{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  std::string out;
  for (const double mean : means) {
    const double share = *high > *low ? (mean - *low) / (*high - *low) : 0.0;
    out += kBlocks[std::min<std::size_t>(7, static_cast<std::size_t>(std::max(0.0, share) * 8.0))];
  }
  return out;
}

}  // namespace ovid::report
