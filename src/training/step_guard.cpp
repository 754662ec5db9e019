#include "src/training/step_guard.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "kernels/step_guard/guard_window.h"

namespace ovid::training {
namespace {

// Without the sign that fmt prints of a NaN, which says nothing.
std::string text_of(double value) {
  return std::isnan(value) ? "nan" : fmt::format("{:.6g}", value);
}

}  // namespace

StepGuard::StepGuard(GuardSettings settings, GuardState state)
    : settings_(settings), state_(std::move(state)) {}

std::string StepGuard::judge(double loss, double gradient_norm) {
  std::string reason;
  if (!std::isfinite(loss) || !std::isfinite(gradient_norm)) {
    reason = fmt::format("loss {}, gradient norm {}", text_of(loss), text_of(gradient_norm));
  } else {
    reason = judge_one("loss", loss, state_.losses);
    const std::string second = judge_one("gradient norm", gradient_norm, state_.gradient_norms);
    if (!second.empty()) reason += (reason.empty() ? "" : "; ") + second;
  }
  state_.skips_in_a_row = reason.empty() ? 0 : state_.skips_in_a_row + 1;
  if (!reason.empty()) ++state_.skips;
  return reason;
}

std::string StepGuard::judge_one(const char* name, double value,
                                 std::vector<double>& window) const {
  const auto full = static_cast<std::size_t>(settings_.window);
  while (window.size() > full) window.erase(window.begin());  // the setting may have shrunk
  std::string reason;
  if (settings_.outlier_z > 0 && window.size() == full) {
    const kernels::WindowStatistics s = kernels::window_statistics(
        [&](std::int64_t i) { return window[static_cast<std::size_t>(i)]; }, settings_.window);
    const double limit = kernels::outlier_limit(s, settings_.outlier_z);
    if (value > limit) {
      reason =
          fmt::format("{} {:.4g} is {:.1f} standard deviations above the mean {:.4g} of {} steps",
                      name, value, (value - s.mean) / s.deviation, s.mean, window.size());
      value = limit;
    }
  }
  if (window.size() == full) window.erase(window.begin());
  window.push_back(value);
  return reason;
}

}  // namespace ovid::training
