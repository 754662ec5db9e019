#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "src/report/series.h"

namespace ovid::report {

// The points as one line of block characters for a terminal, at most `width` of them, each the mean
// of its stretch; the lowest is a low block. Points that are not finite are left out; "" where none
// is left.
std::string sparkline(const std::vector<Point>& points, std::size_t width);

}  // namespace ovid::report
