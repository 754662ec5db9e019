#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

// The rules of step_guard.h in plain words: the oracle of the tests, and the text to read first.
namespace ovid::kernels::reference {

struct GuardWindow {
  std::vector<double> values;  // oldest first
  std::size_t width;

  // Whether `value` is an outlier; remembers it, or the limit in its place.
  bool judge(double value, double outlier_z) {
    bool outlier = false;
    if (outlier_z > 0 && values.size() == width) {
      double mean = 0, variance = 0;
      for (const double v : values) mean += v / static_cast<double>(width);
      for (const double v : values)
        variance += (v - mean) * (v - mean) / static_cast<double>(width);
      const double limit = mean + outlier_z * std::max(std::sqrt(variance), 1e-3 * std::abs(mean));
      outlier = value > limit;
      value = std::min(value, limit);
    }
    if (values.size() == width) values.erase(values.begin());
    values.push_back(value);
    return outlier;
  }
};

// Whether the update is left out.
inline bool step_guard(GuardWindow& losses, GuardWindow& norms, double loss, double norm,
                       double outlier_z) {
  if (!std::isfinite(loss) || !std::isfinite(norm)) return true;
  const bool first = losses.judge(loss, outlier_z), second = norms.judge(norm, outlier_z);
  return first || second;
}

}  // namespace ovid::kernels::reference
