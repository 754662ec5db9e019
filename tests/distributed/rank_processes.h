#pragma once

#include <functional>
#include <string>
#include <vector>

#include "src/distributed/communicator.h"
#include "src/distributed/rank_segment.h"

namespace ovid::test {

struct RankOutcome {
  // 0; of an Error its exit code; 99 for other exceptions; 128 + signal.
  int exit_code = -1;
  std::string error;     // what was thrown
  double seconds = 0.0;  // from the start of all ranks until it was thrown or the body returned
};

using RankBody = std::function<void(distributed::Communicator& communicator)>;

// Runs `body` in `count` processes of their own, each with a communicator by shared memory. Ends
// them by SIGKILL after `timeout_seconds` (exit code 137). The body throws for what is not as
// expected; Catch's macros mean nothing there.
std::vector<RankOutcome> run_ranks(int count, const RankBody& body, double timeout_seconds = 60);
// The same in memory that the caller prepared.
std::vector<RankOutcome> run_ranks(distributed::RankSegment segment, const RankBody& body,
                                   double timeout_seconds = 60);
// The same without a communicator: `body` gets the rank.
std::vector<RankOutcome> run_processes(int count, const std::function<void(int rank)>& body,
                                       double timeout_seconds = 60);

// Throws std::runtime_error with `what` where it is not so.
void expect(bool is_so, const std::string& what);

// Fails the test case with the message of every rank that did not return 0.
void require_all_done(const std::vector<RankOutcome>& outcomes);

}  // namespace ovid::test
