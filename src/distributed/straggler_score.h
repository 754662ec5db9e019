#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ovid::distributed {

struct StragglerSettings {
  double limit = 0.7;     // scores below it are told; 0: never
  int window_steps = 16;  // over which times are averaged
};

// How fast one rank is, in (0, 1].
struct RankScore {
  double relative = 1;  // the fastest rank's time / this one's
  double own = 1;       // its own best time / its time now
};

// Finds ranks that slow the others down. A rank's time is what it computed itself in a step,
// without waiting for others, in any unit that does not change with the share of the work (seconds
// a sequence). Scores compare averages over the last window_steps steps, so that one slow step is
// none.
class StragglerScores {
 public:
  // Throws UsageError where limit is not in [0, 1) or window_steps is not in [1, 1e6].
  StragglerScores(int ranks, const StragglerSettings& settings);

  // Times of all ranks in one step. Returns what is new, for the log: a rank whose relative or own
  // score fell below the limit, or that recovered (both within a tenth above it); nothing before
  // the window is full. Times that are not finite or not above 0 leave the step out.
  std::vector<std::string> note(std::int64_t step, std::span<const double> seconds);

  // Of the last full window; 1 before there is one.
  const std::vector<RankScore>& scores() const { return scores_; }
  int slowest() const;  // the rank with the lowest relative score

 private:
  void update_scores();

  StragglerSettings settings_;
  std::size_t ranks_;
  std::vector<double> window_;  // window_steps rows of the ranks' times, a ring
  std::int64_t noted_ = 0;
  std::vector<double> best_;  // of each rank's averages
  std::vector<RankScore> scores_;
  std::vector<char> relative_told_;
  std::vector<char> own_told_;
};

}  // namespace ovid::distributed
