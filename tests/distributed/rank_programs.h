#pragma once

#include <string>
#include <vector>

namespace ovid::test {

struct RanksResult {
  std::vector<int> exit_codes;      // by rank; -1 where it did not end in time, and was killed
  std::vector<std::string> output;  // by rank
};

// Runs `count` ranks of collective_ranks (KIND MODE) as the local launcher would, each a process.
RanksResult run_rank_programs(int count, const std::string& kind, const std::string& mode,
                              double seconds = 60);

}  // namespace ovid::test
