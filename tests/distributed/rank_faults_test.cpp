// What happens to the other ranks when one fails: each fault several times, at other ranks and
// steps.
#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "src/core/file.h"
#include "src/core/stopwatch.h"
#include "src/distributed/flight_merge.h"
#include "tests/catch.h"
#include "tests/test_files.h"
#include "tests/test_process.h"

namespace ovid::distributed {
namespace {

constexpr int kKilled = 128 + 9;
// The limit of a step is 2 s, then a grace of 1 s for dumps and one for unwinding, then 3 s until
// what does not react is killed; the rest is for a machine that is busy.
constexpr double kLongest = 30;

struct Outcome {
  int exit_code = -1;
  std::string output;
  std::string errors;
  double seconds = 0;
  std::vector<FlightDump> dumps;
};

// Those whose command line names `folder`: a launcher and its ranks.
std::vector<pid_t> processes_of(const Path& folder) {
  std::vector<pid_t> ids;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "cmdline");  // a pseudo file; of no process, it is absent
    std::string line;
    std::getline(file, line);
    if (line.find("watched_ranks") != std::string::npos &&
        line.find(folder.string()) != std::string::npos) {
      ids.push_back(std::stoi(entry.path().filename().string()));
    }
  }
  return ids;
}

std::size_t shared_memory_files() {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/dev/shm"),
                                                std::filesystem::directory_iterator()));
}

Outcome run_ranks(int ranks, int steps, const std::string& faults) {
  const test::TemporaryDirectory folder;
  const std::size_t files_before = shared_memory_files();
  const Stopwatch stopwatch;
  const test::ProcessResult result =
      test::run_process({OVID_WATCHED_RANKS, folder.path().string(), fmt::format("{}", ranks),
                         fmt::format("{}", steps)},
                        "", {"OVID_FAULTS=" + faults});
  Outcome outcome{.exit_code = result.exit_code,
                  .output = result.output,
                  .errors = result.errors,
                  .seconds = stopwatch.seconds()};
  CHECK(processes_of(folder.path()).empty());  // none outlives its run
  CHECK(shared_memory_files() <= files_before);
  if (std::filesystem::exists(folder / "flight")) {
    outcome.dumps = read_flight_dumps({(folder / "flight").string()});
  }
  UNSCOPED_INFO(faults << "\nexit code " << outcome.exit_code << " after " << outcome.seconds
                       << " s\n"
                       << outcome.errors);
  CHECK(outcome.seconds < kLongest);
  fmt::print("{}: {} ranks, exit code {}, {:.2f} s\n", faults.empty() ? "no fault" : faults, ranks,
             outcome.exit_code, outcome.seconds);
  return outcome;
}

}  // namespace

TEST_CASE("ranks without a fault are through, and say nothing", "[distributed]") {
  const Outcome outcome = run_ranks(4, 40, "");
  CHECK(outcome.exit_code == 0);
  CHECK(outcome.output == "weights 161\n");
  CHECK(outcome.dumps.empty());
}

TEST_CASE("when a rank dies all end, and what died is named", "[distributed]") {
  for (const auto& [rank, step] : {std::pair{1, 7}, {0, 12}, {3, 1}, {2, 23}, {1, 30}}) {
    const Outcome outcome = run_ranks(4, 40, fmt::format("kill:rank={},step={}", rank, step));
    CHECK(outcome.exit_code == kKilled);
    CHECK_THAT(outcome.errors, Catch::Contains(fmt::format("rank {}", rank)));
    CHECK(outcome.output.empty());
  }
}

TEST_CASE("a rank that hangs is named with its section, and all end", "[distributed]") {
  struct Hang {
    const char* fault;
    int rank;
    const char* section;
    int step;
  };
  for (const Hang& hang : {Hang{"hang", 2, "step", 13}, Hang{"hang", 0, "step", 9},
                           Hang{"hang", 1, "evaluation", 12}, Hang{"hang", 3, "checkpoint", 20}}) {
    const Outcome outcome = run_ranks(4, 40,
                                      fmt::format("{}:rank={},step={},section={}", hang.fault,
                                                  hang.rank, hang.step, hang.section));
    CHECK(outcome.exit_code == 6);
    CHECK_THAT(outcome.errors,
               Catch::Contains(fmt::format("{} of step {} hangs", hang.section, hang.step)));
    CHECK_THAT(outcome.errors, Catch::Contains(fmt::format("rank {} is behind", hang.rank)));
    REQUIRE(outcome.dumps.size() == 4);
    const FlightMerge merge = merge_flights(outcome.dumps);
    CHECK(merge.verdict == FlightVerdict::kBehind);
    CHECK(merge.culprits == std::vector<int>{hang.rank});
    CHECK_FALSE(outcome.dumps[static_cast<std::size_t>(hang.rank)].stack.empty());
  }
}

TEST_CASE("a rank that is stopped as a whole is named by the others, and all end",
          "[distributed]") {
  for (const auto& [rank, step] : {std::pair{2, 11}, {0, 17}, {3, 26}}) {
    const Outcome outcome = run_ranks(4, 40, fmt::format("stop:rank={},step={}", rank, step));
    CHECK(outcome.exit_code == 6);
    CHECK_THAT(outcome.errors, Catch::Contains(fmt::format("step of step {} hangs", step)));
    CHECK_THAT(outcome.errors, Catch::Contains(fmt::format("rank {} is behind", rank)));
    REQUIRE(outcome.dumps.size() == 3);
    CHECK(merge_flights(outcome.dumps).missing == std::vector<int>{rank});
  }
}

TEST_CASE("a run that is stopped and continued as a whole does not count as hanging",
          "[distributed]") {
  const test::TemporaryDirectory folder;
  const std::string log = (folder / "log.txt").string();
  test::Process process({OVID_WATCHED_RANKS, folder.path().string(), "2", "600"}, log);
  REQUIRE_FALSE(process.wait_for(0.5));
  const std::vector<pid_t> ids = processes_of(folder.path());
  CHECK(ids.size() == 3);
  for (const pid_t id : ids) ::kill(id, SIGSTOP);
  std::this_thread::sleep_for(std::chrono::milliseconds(3500));  // a step may take 2 s
  for (const pid_t id : ids) ::kill(id, SIGCONT);
  const auto code = process.wait_for(kLongest);
  INFO(read_file(log));
  CHECK(code == 0);
  CHECK_FALSE(std::filesystem::exists(folder / "flight"));
}

TEST_CASE("a straggler is told with its score, and nothing ends", "[distributed]") {
  for (const int rank : {2, 0}) {
    const Outcome outcome =
        run_ranks(4, 40, fmt::format("sleep:rank={},step=10,steps=20,seconds=0.05", rank));
    CHECK(outcome.exit_code == 0);
    CHECK_THAT(outcome.errors, Catch::Contains(fmt::format("rank {} is slow: score 0.", rank)));
    CHECK(outcome.dumps.empty());
  }
}

TEST_CASE("a collective that one rank alone calls is an error, not a hang", "[distributed]") {
  for (const auto& [rank, step] : {std::pair{1, 3}, {0, 20}, {3, 33}}) {
    const Outcome outcome = run_ranks(4, 40, fmt::format("mismatch:rank={},step={}", rank, step));
    CHECK(outcome.exit_code == 1);
    CHECK_THAT(outcome.errors, Catch::Contains("injected: only this rank calls it") &&
                                   Catch::Contains("gradients") && !Catch::Contains("hangs"));
    REQUIRE(outcome.dumps.size() == 4);
    const FlightMerge merge = merge_flights(outcome.dumps);
    CHECK(merge.verdict == FlightVerdict::kDiffers);
    CHECK(merge.culprits == std::vector<int>{rank});
  }
}

TEST_CASE("a flipped bit of one rank's weights is found, with rank and step", "[distributed]") {
  for (const auto& [rank, step] : {std::pair{1, 7}, {0, 12}, {3, 34}}) {
    const Outcome outcome = run_ranks(
        4, 40, fmt::format("flip:rank={},step={},element=4321,bit={}", rank, step, 3 * rank));
    const int found = (step + 4) / 5 * 5;  // weights are compared every five steps
    CHECK(outcome.exit_code == 6);
    CHECK_THAT(outcome.errors, Catch::Contains(fmt::format("step {}: the weights of rank {} differ",
                                                           found, rank)) &&
                                   Catch::Contains(fmt::format("after step {}", found - 5)) &&
                                   Catch::Contains("hashed again they are the same"));
  }
  const Outcome two = run_ranks(2, 20, "flip:rank=1,step=6");
  CHECK_THAT(two.errors, Catch::Contains("no majority says which are right"));
}

}  // namespace ovid::distributed
