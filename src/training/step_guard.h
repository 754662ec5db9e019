#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ovid::training {

struct GuardSettings {
  std::int64_t window = 128;     // steps
  double outlier_z = 30.0;       // standard deviations above the window's mean; 0: no outliers
  std::int64_t most_skips = 10;  // in a row
};

// What the guard remembers; part of a checkpoint. Oldest first.
struct GuardState {
  std::vector<double> losses;
  std::vector<double> gradient_norms;
  std::int64_t skips_in_a_row = 0;
  std::int64_t skips = 0;  // of the whole run

  bool operator==(const GuardState&) const = default;
};

// Decides before each update whether loss and gradient norm can be believed. What is not finite is
// never applied and never remembered. What stands outlier_z standard deviations above the mean of a
// full window is not applied either, and enters the window as that limit: one spike does not blind
// the guard, and a lasting rise is accepted after some steps.
class StepGuard {
 public:
  explicit StepGuard(GuardSettings settings, GuardState state = {});

  // Empty: apply the update. Otherwise why it must be skipped, for people.
  std::string judge(double loss, double gradient_norm);

  // Whether more updates were skipped in a row than the settings allow.
  bool gives_up() const { return state_.skips_in_a_row > settings_.most_skips; }
  const GuardState& state() const { return state_; }

 private:
  std::string judge_one(const char* name, double value, std::vector<double>& window) const;

  GuardSettings settings_;
  GuardState state_;
};

}  // namespace ovid::training
