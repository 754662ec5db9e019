// Training runs of several ranks under faults: what ends, with which code, and that nothing is
// lost: the run that goes on afterwards ends with the bits of the unbroken one.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "src/core/file.h"
#include "src/core/stopwatch.h"
#include "tests/catch.h"
#include "tests/end_to_end/tiny_run.h"

namespace ovid::test {
namespace {

using Catch::Matchers::Contains;

constexpr int kSteps = 40;
constexpr int kRanks = 2;
const std::vector<std::string> kQuickWatchdog{"watchdog.initial_seconds=20",
                                              "watchdog.least_seconds=3"};

std::vector<std::string> command(const TinyRun& run, std::vector<std::string> overrides,
                                 int ranks = kRanks) {
  overrides.insert(overrides.end(), kQuickWatchdog.begin(), kQuickWatchdog.end());
  overrides.push_back("distributed.hash_every_steps=5");
  overrides.push_back("batch.micro_sequences=3");
  std::vector<std::string> all = run.train_command(overrides);
  all.push_back("--processes");
  all.push_back(std::to_string(ranks));
  return all;
}

// Ranks of `run` that are still there.
std::vector<pid_t> ranks_of(const TinyRun& run) {
  std::vector<pid_t> ids;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "cmdline");
    std::string line;
    std::getline(file, line);
    if (line.find(run.path("config.yaml")) != std::string::npos) {
      ids.push_back(std::stoi(entry.path().filename().string()));
    }
  }
  return ids;
}

// The run as it would have been, of the same number of ranks.
struct Unbroken {
  std::string state;
  std::vector<std::string> losses;
};

Unbroken unbroken(const TinyRun& run) {
  const ProcessResult result = run_process(command(run, {"run.name=unbroken"}));
  INFO(result.errors);
  REQUIRE(result.exit_code == 0);
  return {.state = weights_and_moments(run.checkpoint(kSteps, "unbroken")),
          .losses = losses_by_step(run.run_directory("unbroken"))};
}

std::size_t steps_logged(const TinyRun& run, const std::string& name) {
  const std::string directory = run.run_directory(name);
  if (!std::filesystem::exists(Path(directory) / "metrics.jsonl")) return 0;
  return losses_by_step(directory).size();
}

// Goes on where a fault ended it, to the end.
void expect_nothing_lost(const TinyRun& run, const std::string& name, const Unbroken& whole) {
  CHECK(ranks_of(run).empty());
  const ProcessResult rest = run_process(command(run, {"run.name=" + name}));
  INFO(rest.errors);
  REQUIRE(rest.exit_code == 0);
  CHECK(weights_and_moments(run.checkpoint(kSteps, name)) == whole.state);
  CHECK(losses_by_step(run.run_directory(name)) == whole.losses);
}

}  // namespace

TEST_CASE("ranks that die, hang, differ or are corrupt lose nothing", "[faults]") {
  struct Trial {
    const char* fault;
    int exit_code;
    const char* message;
  };
  const TinyRun run(kSteps);
  const Unbroken whole = unbroken(run);
  int number = 0;
  for (const Trial& trial : {
           Trial{"kill:rank=1,step=17", 128 + 9, "rank 1"},
           Trial{"kill:rank=0,step=23", 128 + 9, "rank 0"},
           Trial{"hang:rank=1,step=13", 6, "step of step 13 hangs"},
           Trial{"hang:rank=1,step=20,section=evaluation", 6, "evaluation of step 20 hangs"},
           Trial{"hang:rank=0,step=20,section=checkpoint", 6, "checkpoint of step 20 hangs"},
           Trial{"stop:rank=1,step=15", 6, "rank 1 is behind"},
           Trial{"mismatch:rank=1,step=12", 1, "injected: only this rank calls it"},
           Trial{"flip:rank=1,step=21,element=999", 6, "silent corruption after step 20"},
       }) {
    const std::string name = fmt::format("broken-{}", number++);
    const Stopwatch stopwatch;
    const ProcessResult result = run_process(command(run, {"run.name=" + name}), "",
                                             {std::string("OVID_FAULTS=") + trial.fault});
    fmt::print("{}: exit code {} after {:.2f} s\n", trial.fault, result.exit_code,
               stopwatch.seconds());
    INFO(trial.fault << "\n" << result.errors);
    CHECK(result.exit_code == trial.exit_code);
    CHECK_THAT(result.errors, Contains(trial.message));
    expect_nothing_lost(run, name, whole);
  }
}

TEST_CASE("a straggling rank is told, and the run goes on", "[faults]") {
  const TinyRun run(60);
  const ProcessResult result =
      run_process(command(run, {}), "", {"OVID_FAULTS=sleep:rank=1,step=10,steps=40,seconds=0.05"});
  INFO(result.errors);
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.errors, Contains("rank 1 is slow"));
  CHECK_THAT(read_file(Path(run.run_directory()) / "metrics.jsonl"), Contains("straggler"));
}

TEST_CASE("a signal to any one rank stops all at the same step, saved", "[faults]") {
  const TinyRun run(kSteps);
  const Unbroken whole = unbroken(run);
  int number = 0;
  for (const int signal : {SIGTERM, SIGUSR1, SIGINT, SIGTERM}) {
    const std::string name = fmt::format("stopped-{}", number++);
    Process process(command(run, {"run.name=" + name}), run.path("stopped.log"));
    while (steps_logged(run, name) < 5) {
      REQUIRE_FALSE(process.wait_for(0.01));
    }
    std::vector<pid_t> ids = ranks_of(run);  // the launcher too
    REQUIRE(ids.size() == kRanks + 1);
    std::sort(ids.begin(), ids.end());
    ::kill(ids[1 + static_cast<std::size_t>(number) % kRanks], signal);
    const auto code = process.wait_for(30);
    const std::string told = read_file(run.path("stopped.log"));
    INFO(told);
    CHECK(code == 75);
    CHECK_THAT(told, Contains(fmt::format(" to rank {}: saved step", number % kRanks)));
    const auto steps = static_cast<int>(losses_by_step(run.run_directory(name)).size());
    CHECK(std::filesystem::exists(run.checkpoint(steps, name)));  // no step was lost
    expect_nothing_lost(run, name, whole);
  }
}

TEST_CASE("what is wrong on every rank is said once, and nothing is written", "[faults]") {
  const TinyRun run(kSteps);
  const ProcessResult result = run_process(command(run, {"run.name=refused", "batch.sequences=9"}));
  INFO(result.errors);
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.errors, Contains("is not divided evenly by 2 ranks"));
  CHECK(result.errors.find("error:") == result.errors.rfind("error:"));
  CHECK_FALSE(std::filesystem::exists(run.run_directory("refused")));
}

TEST_CASE("too little grace after a signal loses no checkpoint", "[faults]") {
  const TinyRun run(kSteps);
  const Unbroken whole = unbroken(run);
  int number = 0;
  for (const int milliseconds : {0, 2, 5, 15, 40}) {
    const std::string name = fmt::format("killed-{}", number++);
    Process process(command(run, {"run.name=" + name}), run.path("killed.log"));
    while (steps_logged(run, name) < 12) {
      REQUIRE_FALSE(process.wait_for(0.01));
    }
    process.signal(SIGTERM);
    process.wait_for(milliseconds * 1e-3);
    process.signal(SIGKILL);
    process.wait();
    for (int i = 0; i < 500 && !ranks_of(run).empty(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    expect_nothing_lost(run, name, whole);
  }
}

}  // namespace ovid::test
