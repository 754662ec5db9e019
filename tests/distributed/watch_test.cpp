#include <atomic>
#include <cmath>
#include <csignal>
#include <cstring>
#include <functional>
#include <limits>
#include <thread>

#include "src/core/error.h"
#include "src/core/log.h"
#include "src/distributed/fault_injector.h"
#include "src/distributed/section_timeouts.h"
#include "src/distributed/single_rank_communicator.h"
#include "src/distributed/straggler_score.h"
#include "src/distributed/watchdog.h"
#include "src/distributed/weight_hash.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::distributed {
namespace {

std::string refusal(const std::function<void()>& body) {
  try {
    body();
  } catch (const UsageError& e) {
    return e.what();
  }
  return "no error";
}

template <typename Condition>
bool comes_true(const Condition& condition, double seconds) {
  for (double waited = 0; waited < seconds; waited += 0.01) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return condition();
}

}  // namespace

TEST_CASE("a section's limit follows the slowest of its last times", "[distributed]") {
  SectionTimeouts limits({.initial_seconds = 100, .safety_factor = 5, .least_seconds = 2});
  CHECK(limits.limit_seconds(Section::kStep) == 100);
  limits.note(Section::kStep, 0.1);
  CHECK(limits.limit_seconds(Section::kStep) == 2);
  limits.note(Section::kStep, 3);
  CHECK(limits.limit_seconds(Section::kStep) == 15);
  CHECK(limits.limit_seconds(Section::kCheckpoint) == 100);  // each learns for itself
  for (int i = 0; i < 31; ++i) limits.note(Section::kStep, 1);
  CHECK(limits.limit_seconds(Section::kStep) == 15);
  limits.note(Section::kStep, 1);  // the slow one is the 33rd from the end now
  CHECK(limits.limit_seconds(Section::kStep) == 5);
}

TEST_CASE("limits that cannot be are refused", "[distributed]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_AS(SectionTimeouts({.initial_seconds = 0}), UsageError);
  CHECK_THROWS_AS(SectionTimeouts({.least_seconds = nan}), UsageError);
  CHECK_THROWS_AS(SectionTimeouts({.safety_factor = 0.5}), UsageError);
}

TEST_CASE("a section that takes too long is dumped and told", "[distributed]") {
  const test::TemporaryDirectory folder;
  log::set_level(log::Level::kError);
  SingleRankCommunicator communicator;
  communicator.barrier("before the hang");
  Watchdog watchdog(communicator,
                    {.timeouts = {.initial_seconds = 0.2, .safety_factor = 5, .least_seconds = 0.2},
                     .flight_directory = folder / "flight",
                     .ends_process = false,
                     .poll_seconds = 0.02,
                     .grace_seconds = 0.05});
  watchdog.enter(Section::kEvaluation, 40);
  const Path path = flight_dump_path(folder / "flight", 0);
  REQUIRE(comes_true([&] { return std::filesystem::exists(path); }, 10));
  const FlightDump dump = read_flight_dump(path);
  CHECK(dump.section == "evaluation");
  CHECK(dump.step == 40);
  CHECK(dump.section_seconds >= 0.2);
  CHECK(dump.section_seconds < 5);
  CHECK_THAT(dump.reason, Catch::Contains("evaluation of step 40 hangs"));
  CHECK_FALSE(dump.stack.empty());
  REQUIRE(dump.entries.size() == 1);
  CHECK(std::string(dump.entries[0].header.label) == "before the hang");
  CHECK(dump.entries[0].ended > 0);
  log::set_level(log::Level::kInfo);
}

TEST_CASE("SIGUSR2 writes a dump, and sections that go on are left alone", "[distributed]") {
  const test::TemporaryDirectory folder;
  log::set_level(log::Level::kError);
  Watchdog::block_signal();
  SingleRankCommunicator communicator;
  Watchdog watchdog(communicator,
                    {.timeouts = {.initial_seconds = 0.5, .safety_factor = 5, .least_seconds = 0.5},
                     .flight_directory = folder.path(),
                     .poll_seconds = 0.02});
  for (int step = 0; step < 40; ++step) {  // 0.8 s in all, longer than the limit of each
    watchdog.enter(Section::kStep, step);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  const Path path = flight_dump_path(folder.path(), 0);
  CHECK_FALSE(std::filesystem::exists(path));
  ::kill(::getpid(), SIGUSR2);
  REQUIRE(comes_true([&] { return std::filesystem::exists(path); }, 10));
  CHECK_THAT(read_flight_dump(path).reason, Catch::Contains("SIGUSR2"));
  log::set_level(log::Level::kInfo);
}

TEST_CASE("a straggler is told once, by its score, and again when it recovers", "[distributed]") {
  StragglerScores scores(4, {.limit = 0.7, .window_steps = 8});
  std::vector<std::string> told;
  const auto run = [&](int steps, double of_rank_2) {
    for (int i = 0; i < steps; ++i) {
      for (const std::string& news : scores.note(i, std::vector<double>{1.0, 1.1, of_rank_2, 0.9}))
        told.push_back(news);
    }
  };
  run(8, 1.0);
  CHECK(told.empty());
  run(1, 5.0);  // one slow step in eight: 0.9 / 1.5
  CHECK(scores.scores()[2].relative == Approx(0.9 / 1.5));
  CHECK(told.size() == 2);  // against the fastest, and against its own best
  CHECK_THAT(told[0], Catch::Contains("rank 2 is slow: score 0.60 against the fastest rank"));
  CHECK_THAT(told[1], Catch::Contains("its own best"));
  CHECK(scores.slowest() == 2);
  run(4, 5.0);
  CHECK(told.size() == 2);
  run(8, 1.0);
  CHECK(told.size() == 4);
  CHECK_THAT(told[3], Catch::Contains("recovered"));
  CHECK(scores.note(0, std::vector<double>{1, 1, NAN, 1}).empty());
}

TEST_CASE("a whole run that slows down is told against its own best", "[distributed]") {
  StragglerScores scores(2, {.limit = 0.5, .window_steps = 2});
  for (int i = 0; i < 4; ++i) CHECK(scores.note(i, std::vector<double>{1, 1}).empty());
  CHECK(scores.note(4, std::vector<double>{9, 9}).size() == 2);
  CHECK(scores.scores()[0].relative == 1);
}

TEST_CASE("the ranks with other hashes than most are the minority", "[distributed]") {
  using Hashes = std::vector<std::uint64_t>;
  CHECK(minority(Hashes{7, 7, 7}).empty());
  CHECK(minority(Hashes{7}).empty());
  CHECK(minority(Hashes{7, 8, 7}) == std::vector<int>{1});
  CHECK(minority(Hashes{9, 8, 7, 7, 7}) == std::vector<int>{0, 1});
  CHECK(minority(Hashes{7, 8}) == std::vector<int>{0, 1});
  CHECK(minority(Hashes{7, 7, 8, 8}) == std::vector<int>{0, 1, 2, 3});
}

TEST_CASE("a weight hash sees every element and nothing of the padding", "[distributed]") {
  std::vector<float> memory(4 * 10, 0.0f);
  for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<float>(i);
  const auto hash = [&](std::int64_t row_stride) {
    const kernels::ConstView view(memory.data(), kernels::DType::kFloat32, kernels::Shape{4, 7},
                                  row_stride);
    return hash_tensors({.views = {view}, .names = {"w"}})[0];
  };
  const std::uint64_t padded = hash(10);
  const std::uint64_t packed = hash(7);
  memory[8] = -1;  // row 0's padding; of the packed tensor an element
  CHECK(hash(10) == padded);
  CHECK(hash(7) != packed);
  for (const std::size_t i : {0u, 6u, 10u, 36u}) {
    memory[i] += 1;
    CHECK(hash(10) != padded);
    memory[i] -= 1;
  }
  CHECK(hash(10) == padded);
}

TEST_CASE("faults are read from text, and what is none is refused", "[distributed]") {
  const auto faults = parse_faults(
      "kill:rank=1,step=5;sleep:rank=2,step=3,steps=20,seconds=0.05;hang:step=4,section="
      "evaluation");
  REQUIRE(faults.size() == 3);
  CHECK(faults[0].kind == FaultKind::kKill);
  CHECK(faults[0].rank == 1);
  CHECK(faults[0].step == 5);
  CHECK(faults[1].seconds == 0.05);
  CHECK(faults[1].steps == 20);
  CHECK(faults[2].section == Section::kEvaluation);
  CHECK(parse_faults("").empty());
  for (const char* text : {"explode", "kill:", "kill:rank", "kill:rank=x", "kill:rank=-1",
                           "kill:colour=1", "hang:section=lunch", "flip:bit=32",
                           "sleep:seconds=nan", "kill:probability=2", "kill;", "kill:step=1e3"}) {
    INFO(text);
    CHECK_THAT(refusal([&] { parse_faults(text); }), Catch::Contains("faults to inject"));
  }
}

TEST_CASE("a fault strikes at its rank, section and step alone", "[distributed]") {
  log::set_level(log::Level::kError);
  SingleRankCommunicator communicator;
  const FaultInjector injector(parse_faults("error:step=2,section=sample;error:rank=1"), {});
  injector.reach(Section::kStep, 2, communicator);
  injector.reach(Section::kSample, 1, communicator);
  CHECK_THROWS_WITH(injector.reach(Section::kSample, 2, communicator),
                    Catch::Contains("section sample of step 2"));
  const FaultInjector random(parse_faults("error:probability=0.25,seed=3"), {});
  int strikes = 0;
  for (int step = 0; step < 1000; ++step) {
    try {
      random.reach(Section::kStep, step, communicator);
    } catch (const std::runtime_error&) {
      ++strikes;
    }
  }
  CHECK(strikes > 200);  // 250 are expected, with a standard deviation of 14
  CHECK(strikes < 300);
  log::set_level(log::Level::kInfo);
}

TEST_CASE("a flipped bit is one bit of one weight", "[distributed]") {
  log::set_level(log::Level::kError);
  std::vector<float> first(6, 1.0f);
  std::vector<float> second(8, 1.0f);
  const std::vector<kernels::View> weights{
      {first.data(), kernels::DType::kFloat32, kernels::Shape{6}},
      {second.data(), kernels::DType::kFloat32, kernels::Shape{2, 3}, 4}};
  const FaultInjector injector(parse_faults("flip:step=3,element=10,bit=22"), {});
  injector.corrupt(weights, 2);
  CHECK(second == std::vector<float>(8, 1.0f));
  injector.corrupt(weights, 3);
  CHECK(first == std::vector<float>(6, 1.0f));
  CHECK(second == std::vector<float>{1, 1, 1, 1, 1, 1.5f, 1, 1});
  log::set_level(log::Level::kInfo);
}

}  // namespace ovid::distributed
