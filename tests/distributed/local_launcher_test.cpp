// Ranks that find each other: started by our launcher, or by somebody else.
#include "src/distributed/local_launcher.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "src/core/error.h"
#include "src/core/stopwatch.h"
#include "src/distributed/segment_rendezvous.h"
#include "src/distributed/shared_memory_communicator.h"
#include "src/distributed/world.h"
#include "tests/catch.h"
#include "tests/distributed/rank_processes.h"
#include "tests/test_files.h"

using namespace ovid;
using namespace ovid::distributed;
using test::expect;

namespace {

namespace fs = std::filesystem;

// Runs the launcher in a process of its own, which has one thread and its own signals. `meanwhile`
// gets its process id.
int launch(
    const LocalLaunch& options, const std::function<void(pid_t)>& meanwhile = [](pid_t) {}) {
  const pid_t launcher = ::fork();
  if (launcher == 0) {
    int code = 99;
    try {
      code = run_local_ranks(options);
    } catch (const Error& error) {
      code = static_cast<int>(error.exit_code());
    }
    ::_exit(code);
  }
  meanwhile(launcher);
  int status = 0;
  ::waitpid(launcher, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

LocalLaunch script(int processes, const std::string& text) {
  return {.command = {"/bin/sh", "-c", text}, .processes = processes, .grace_seconds = 0.5};
}

// A test case of this program as what the ranks do.
LocalLaunch test_case(int processes, const std::string& name) {
  return {.command = {fs::read_symlink("/proc/self/exe").string(), name, "-o", "/dev/null"},
          .processes = processes};
}

void wait_for_files(const fs::path& folder, std::size_t number) {
  const Stopwatch watch;
  while (watch.seconds() < 10) {
    const auto files = std::distance(fs::directory_iterator(folder), fs::directory_iterator());
    if (static_cast<std::size_t>(files) >= number) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  FAIL("the ranks did not start");
}

std::size_t entries_of(const fs::path& folder) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

bool ends_within(pid_t process, double seconds) {
  const Stopwatch watch;
  while (watch.seconds() < seconds) {
    if (::kill(process, 0) != 0) return true;
    // A process whose parent has not asked for its end yet is there, but runs no more.
    std::ifstream status(fmt::format("/proc/{}/stat", process));
    std::string word, name, state;
    if (status >> word >> name >> state && state == "Z") return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

int sum_of_ranks(Communicator& communicator) {
  std::vector<int> all(static_cast<std::size_t>(communicator.count()));
  const int own = communicator.rank();
  communicator.exchange(std::as_bytes(std::span(&own, 1)), std::as_writable_bytes(std::span(all)),
                        "ranks");
  int sum = 0;
  for (const int rank : all) sum += rank;
  return sum;
}

}  // namespace

TEST_CASE("a launched rank joins the others", "[.rank]") {
  const World world = join_world();
  REQUIRE(world.ranks.count == 3);
  REQUIRE(sum_of_ranks(*world.communicator) == 3);
  REQUIRE(world.threads >= 1);
  REQUIRE(world.description ==
          fmt::format("rank {} of 3, by shared memory, started by ovid", world.ranks.rank));
}

TEST_CASE("a launched rank fails while the others wait", "[.rank]") {
  try {
    const World world = join_world();
    if (world.ranks.rank == 1) throw UsageError("the config is wrong");
    world.communicator->barrier("step");
  } catch (const UsageError&) {
    // The others end first: their exit code must not be the job's.
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    std::_Exit(2);
  } catch (const Error& error) {
    std::_Exit(static_cast<int>(error.exit_code()));
  }
}

TEST_CASE("launched ranks join by memory that has no name", "[distributed]") {
  const std::size_t before = entries_of("/dev/shm");
  CHECK(launch(test_case(3, "a launched rank joins the others")) == 0);
  CHECK(entries_of("/dev/shm") == before);
}

TEST_CASE("the job's exit code is that of the rank that failed", "[distributed]") {
  CHECK(launch(test_case(3, "a launched rank fails while the others wait")) == 2);
  const Stopwatch watch;
  CHECK(launch(script(3, "if [ $OVID_RANK = 1 ]; then exit 3; fi; exec sleep 30")) == 3);
  CHECK(launch(script(2, "if [ $OVID_RANK = 1 ]; then kill -9 $$; fi; exec sleep 30")) == 137);
  CHECK(watch.seconds() < 5);
  CHECK(launch(script(2, "exit 0")) == 0);
  CHECK(launch(script(1, "exit 5")) == 5);
}

TEST_CASE("a rank that does not heed the end of another is killed after the grace",
          "[distributed]") {
  const test::TemporaryDirectory folder;
  const std::string ready = (folder / "ready").string();
  const Stopwatch watch;
  CHECK(launch(script(2, fmt::format("if [ $OVID_RANK = 1 ]; then "
                                     "while [ ! -e {0} ]; do sleep 0.01; done; exit 4; fi; "
                                     "trap '' TERM; touch {0}; while :; do sleep 0.05; done",
                                     ready))) == 4);
  CHECK(watch.seconds() > 0.4);
  CHECK(watch.seconds() < 10);
}

TEST_CASE("a rank that is done or saves does not hurry the others", "[distributed]") {
  for (const int code : {0, 75}) {
    CHECK(launch(script(2, fmt::format("if [ $OVID_RANK = 1 ]; then exit {0}; fi; "
                                       "trap 'exit 9' TERM; sleep 0.8; exit {0}",
                                       code))) == code);
  }
}

TEST_CASE("signals are handed on to every rank", "[distributed]") {
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) {
    CAPTURE(signal);
    const test::TemporaryDirectory folder;
    const int code = launch(
        script(3,
               fmt::format("trap 'exit 75' {}; touch {}/$OVID_RANK; while :; do sleep 0.02; done",
                           signal, folder.path().string())),
        [&](pid_t launcher) {
          wait_for_files(folder.path(), 3);
          ::kill(launcher, signal);
        });
    CHECK(code == 75);
  }
}

TEST_CASE("a second interrupt kills the ranks", "[distributed]") {
  const test::TemporaryDirectory folder;
  const int code =
      launch(script(2, fmt::format("trap '' INT; touch {}/$OVID_RANK; while :; do sleep 0.02; done",
                                   folder.path().string())),
             [&](pid_t launcher) {
               wait_for_files(folder.path(), 2);
               ::kill(launcher, SIGINT);
               std::this_thread::sleep_for(std::chrono::milliseconds(300));
               ::kill(launcher, SIGINT);
             });
  CHECK(code == 130);
}

TEST_CASE("no rank outlives its launcher", "[distributed]") {
  const test::TemporaryDirectory folder;
  launch(script(3, fmt::format("echo $$ > {0}/new$OVID_RANK; mv {0}/new$OVID_RANK {0}/$OVID_RANK; "
                               "while read line < /dev/zero; do :; done",
                               folder.path().string())),
         [&](pid_t launcher) {
           wait_for_files(folder.path(), 3);
           std::this_thread::sleep_for(std::chrono::milliseconds(50));
           ::kill(launcher, SIGKILL);
         });
  for (int rank = 0; rank < 3; ++rank) {
    pid_t process = 0;
    std::ifstream(folder / std::to_string(rank)) >> process;
    REQUIRE(process > 0);
    CHECK(ends_within(process, 2));
  }
}

TEST_CASE("all ranks are started again as often as asked for", "[distributed]") {
  const test::TemporaryDirectory folder;
  LocalLaunch twice =
      script(2, fmt::format("touch {0}/$OVID_RANK.$$; if [ $(ls {0} | wc -l) -ge 5 ]; then exit 0; "
                            "fi; sleep 0.1; exit 1",
                            folder.path().string()));
  twice.restarts = 2;
  CHECK(launch(twice) == 0);
  CHECK(entries_of(folder.path()) == 6);
  LocalLaunch never = script(2, "exit 93");
  never.restarts = 5;
  CHECK(launch(never) == 93);
}

TEST_CASE("a number of processes that cannot be is refused", "[distributed]") {
  CHECK(launch(script(0, "exit 0")) == 2);
  CHECK(launch(script(-3, "exit 0")) == 2);
  CHECK(launch(script(kMaxLocalRanks + 1, "exit 0")) == 2);
}

TEST_CASE("ranks that others started meet by the run's token", "[distributed]") {
  test::require_all_done(test::run_processes(4, [](int rank) {
    // The first one comes last.
    if (rank == 0) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ::setenv("RANK", std::to_string(rank).c_str(), 1);
    ::setenv("LOCAL_RANK", std::to_string(rank).c_str(), 1);
    ::setenv("WORLD_SIZE", "4", 1);
    ::setenv("LOCAL_WORLD_SIZE", "4", 1);
    ::setenv("MASTER_PORT", std::to_string(::getppid()).c_str(), 1);
    const World world = join_world({.join_seconds = 20});
    expect(sum_of_ranks(*world.communicator) == 6, "an exchange is wrong");
  }));
}

TEST_CASE("ranks that do not come to the meeting are named", "[distributed]") {
  const std::string token = fmt::format("missing {}", ::getpid());
  const auto outcomes = test::run_processes(3, [&](int rank) {
    meet_ranks({rank, 5, rank, 5}, token, 0.3);
  });
  CHECK(outcomes[0].exit_code == 6);
  CHECK(outcomes[0].error.find("of 5 ranks these did not join within 0.3 s: 3, 4") == 0);
  CHECK(outcomes[1].exit_code == 0);  // has the memory; its communicator would wait
  const auto without_first = test::run_processes(1, [&](int) {
    meet_ranks({1, 2, 1, 2}, token, 0.2);
  });
  CHECK(without_first[0].exit_code == 6);
  CHECK(without_first[0].error.find("rank 0 did not join") == 0);
}

TEST_CASE("two runs with one token are told so", "[distributed]") {
  const std::string token = fmt::format("same {}", ::getpid());
  const auto outcomes = test::run_processes(2, [&](int) { meet_ranks({0, 2, 0, 2}, token, 0.5); });
  std::vector<int> codes = {outcomes[0].exit_code, outcomes[1].exit_code};
  std::sort(codes.begin(), codes.end());
  CHECK(codes == std::vector<int>{2, 6});
}

TEST_CASE("ranks on several machines want MPI", "[distributed]") {
  WorldOptions options{.place = {}};
  options.place.ranks = {0, 2, 0, 1};
  options.place.one_machine = false;
  CHECK_THROWS_AS(join_world(options), UsageError);
  CHECK(join_world({.place = {}}).communicator->count() == 1);
}
