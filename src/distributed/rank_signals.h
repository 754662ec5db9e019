#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "src/distributed/rank_segment.h"

namespace ovid::distributed {

// How ranks wait for each other in the memory that they share. Every rank counts the steps it has
// done; as all ranks run the same collectives, a number means the same step on each. Steps wrap
// around at 2^32, and begin at what the memory holds (0); two ranks are never apart by more than
// the pieces of one collective.
class RankSignals {
 public:
  // Takes the place of `rank` and waits until all ranks have taken theirs. Throws RankError where
  // one does not within `join_seconds`, or is of another build.
  RankSignals(RankSegment& segment, int rank, double join_seconds);
  // Leaves.
  ~RankSignals();
  RankSignals(const RankSignals&) = delete;
  RankSignals& operator=(const RankSignals&) = delete;

  std::uint32_t done() const { return own_done_; }
  // This rank has done `step` steps; what it wrote before can be read by whoever waited for them.
  void post(std::uint32_t step);
  // Until a rank has, or all others have. Throws RankError where the run was aborted, or a rank
  // that does not come died or left.
  void wait_for(int rank, std::uint32_t step);
  void wait_for_others(std::uint32_t step);

  // Ends the run for all ranks; `culprit` is the rank whose fault it is, -1 for none. The first
  // call of all ranks counts. From any thread.
  void abort(std::string_view reason, int culprit) noexcept;

 private:
  bool has_done(int rank, std::uint32_t step);
  void sleep_until_done(int rank, std::uint32_t step);
  void join(double join_seconds);
  void wait_for_places(double join_seconds);
  void require_same_build() const;
  void throw_if_aborted() const;
  void look_for_dead_ranks();
  [[noreturn]] void throw_left(int rank) const;
  bool is_dead(int rank) const;
  std::string last_collective_of(int rank) const;

  RankSegment& segment_;
  int rank_;
  int spins_;  // looks at a step before sleeping
  std::uint32_t own_done_;
  std::vector<std::uint32_t> known_done_;  // of each rank, as seen last
};

}  // namespace ovid::distributed
