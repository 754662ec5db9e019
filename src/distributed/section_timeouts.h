#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace ovid::distributed {

// What a rank does at a time. Each has a duration of its own: a checkpoint must not look like a
// step that hangs.
enum class Section : std::uint8_t { kSetup, kStep, kEvaluation, kCheckpoint, kSample };
inline constexpr int kSections = 5;
const char* name_of(Section section);

struct TimeoutSettings {
  double initial_seconds = 1800;  // of a section that has not been through yet
  double safety_factor = 5;       // times the slowest of the last ones
  double least_seconds = 60;      // never less than this
};

// How long a section may take before it counts as a hang, learned from how long it took:
// max(least, safety factor * the slowest of its last 32 times), and the initial time until it has
// ended once. Not thread-safe.
class SectionTimeouts {
 public:
  // Throws UsageError where a setting is not above 0, or the factor below 1.
  explicit SectionTimeouts(const TimeoutSettings& settings);

  void note(Section section, double seconds);
  double limit_seconds(Section section) const;

 private:
  static constexpr std::size_t kRemembered = 32;
  struct Durations {
    std::vector<double> seconds;  // a ring
    std::size_t next = 0;
  };

  TimeoutSettings settings_;
  std::array<Durations, kSections> durations_;
};

}  // namespace ovid::distributed
