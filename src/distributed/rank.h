#pragma once

namespace ovid::distributed {

// Which of the run's processes this one is.
struct RankInfo {
  int rank = 0;        // in [0, count)
  int count = 1;       // of the run
  int local_rank = 0;  // among those of this machine: which of its devices to take
  int local_count = 1;

  bool operator==(const RankInfo&) const = default;
};

}  // namespace ovid::distributed
