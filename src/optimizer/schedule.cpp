#include "src/optimizer/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ovid::optimizer {
namespace {

double progress(std::int64_t step, std::int64_t begin, std::int64_t end) {
  if (end <= begin) return 1.0;
  const double p = static_cast<double>(step - begin) / static_cast<double>(end - begin);
  return std::clamp(p, 0.0, 1.0);
}

}  // namespace

double learning_rate(const Schedule& s, std::int64_t step) {
  if (step < s.warmup_steps) {
    return s.peak * static_cast<double>(step + 1) / static_cast<double>(s.warmup_steps);
  }
  const double f = s.final_fraction;
  const double p = progress(step, s.warmup_steps, s.steps);
  switch (s.kind) {
    case ScheduleKind::kCosine:
      return s.peak * (f + (1.0 - f) * 0.5 * (1.0 + std::cos(std::numbers::pi * p)));
    case ScheduleKind::kLinear:
      return s.peak * (1.0 - (1.0 - f) * p);
    case ScheduleKind::kConstant:
      return s.peak;
    case ScheduleKind::kWarmupStableDecay:
      break;
  }
  const auto decay_steps =
      static_cast<std::int64_t>(s.decay_fraction * static_cast<double>(s.steps));
  const std::int64_t begin = std::max(s.warmup_steps, s.steps - decay_steps);
  return step < begin ? s.peak : s.peak * (1.0 - (1.0 - f) * progress(step, begin, s.steps));
}

}  // namespace ovid::optimizer
