#include "src/distributed/section_timeouts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "src/core/error.h"

namespace ovid::distributed {

const char* name_of(Section section) {
  switch (section) {
    case Section::kSetup:
      return "setup";
    case Section::kStep:
      return "step";
    case Section::kEvaluation:
      return "evaluation";
    case Section::kCheckpoint:
      return "checkpoint";
    case Section::kSample:
      return "sample";
  }
  return "?";
}

SectionTimeouts::SectionTimeouts(const TimeoutSettings& settings) : settings_(settings) {
  const auto is_duration = [](double seconds) { return std::isfinite(seconds) && seconds > 0; };
  if (!is_duration(settings.initial_seconds) || !is_duration(settings.least_seconds)) {
    throw UsageError(
        fmt::format("the watchdog's times are {} and {} seconds; both must be numbers above 0",
                    settings.initial_seconds, settings.least_seconds));
  }
  if (!std::isfinite(settings.safety_factor) || settings.safety_factor < 1) {
    throw UsageError(
        fmt::format("the watchdog's safety factor is {}; it must be at least 1, 5 is usual",
                    settings.safety_factor));
  }
}

void SectionTimeouts::note(Section section, double seconds) {
  Durations& of = durations_[static_cast<std::size_t>(section)];
  if (of.seconds.size() < kRemembered) {
    of.seconds.push_back(seconds);
    return;
  }
  of.seconds[of.next] = seconds;
  of.next = (of.next + 1) % kRemembered;
}

double SectionTimeouts::limit_seconds(Section section) const {
  const Durations& of = durations_[static_cast<std::size_t>(section)];
  if (of.seconds.empty()) return std::max(settings_.initial_seconds, settings_.least_seconds);
  const double slowest = *std::max_element(of.seconds.begin(), of.seconds.end());
  return std::max(settings_.least_seconds, settings_.safety_factor * slowest);
}

}  // namespace ovid::distributed
