#include "tests/distributed/rank_programs.h"

#include <fmt/format.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <memory>

#include "tests/test_files.h"
#include "tests/test_process.h"

namespace ovid::test {

RanksResult run_rank_programs(int count, const std::string& kind, const std::string& mode,
                              double seconds) {
  const TemporaryDirectory folder;
  const std::string program = (binary_directory() / "tests/distributed/collective_ranks").string();
  std::vector<std::unique_ptr<Process>> ranks;
  const auto file_of = [&](int rank) { return (folder.path() / std::to_string(rank)).string(); };
  for (int rank = 0; rank < count; ++rank) {
    ranks.push_back(std::make_unique<Process>(
        std::vector<std::string>{"/usr/bin/env", fmt::format("OVID_RANK={}", rank),
                                 fmt::format("OVID_RANKS={}", count),
                                 fmt::format("OVID_LOCAL_RANK={}", rank),
                                 fmt::format("OVID_LOCAL_RANKS={}", count), program, kind, mode},
        file_of(rank)));
  }
  RanksResult result;
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  for (int rank = 0; rank < count; ++rank) {
    const std::chrono::duration<double> left = end - std::chrono::steady_clock::now();
    result.exit_codes.push_back(ranks[rank]->wait_for(std::max(left.count(), 0.1)).value_or(-1));
    std::ifstream file(file_of(rank));
    result.output.emplace_back(std::istreambuf_iterator<char>(file),
                               std::istreambuf_iterator<char>());
  }
  return result;
}

}  // namespace ovid::test
