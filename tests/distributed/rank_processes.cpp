#include "tests/distributed/rank_processes.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "src/core/error.h"
#include "src/core/stopwatch.h"
#include "src/distributed/shared_memory_communicator.h"
#include "tests/catch.h"

namespace ovid::test {
namespace {

// What a rank tells the test, in memory of both.
struct Report {
  char error[1000];
  double seconds;
};

int run_body(int rank, const std::function<void(int)>& body, const Stopwatch& watch,
             Report& report) {
  const auto note = [&](const char* text) {
    report.seconds = watch.seconds();
    std::strncpy(report.error, text, sizeof report.error - 1);
  };
  try {
    body(rank);
    note("");
    return 0;
  } catch (const Error& error) {
    note(error.what());
    return static_cast<int>(error.exit_code());
  } catch (const std::exception& error) {
    note(error.what());
    return 99;
  }
}

void kill_after(const std::vector<pid_t>& processes, double seconds, const Stopwatch& watch) {
  std::vector<bool> is_gone(processes.size(), false);
  while (watch.seconds() < seconds) {
    for (std::size_t i = 0; i < processes.size(); ++i) {
      siginfo_t info = {};
      const int asked =
          ::waitid(P_PID, static_cast<id_t>(processes[i]), &info, WEXITED | WNOHANG | WNOWAIT);
      if (asked == 0 && info.si_pid != 0) is_gone[i] = true;
    }
    if (std::find(is_gone.begin(), is_gone.end(), false) == is_gone.end()) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (const pid_t process : processes) ::kill(process, SIGKILL);
}

}  // namespace

std::vector<RankOutcome> run_processes(int count, const std::function<void(int rank)>& body,
                                       double timeout_seconds) {
  const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(Report);
  void* const shared =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) throw std::runtime_error("no memory for the ranks' reports");
  auto* const reports = static_cast<Report*>(shared);
  const Stopwatch watch;
  std::vector<pid_t> processes;
  for (int rank = 0; rank < count; ++rank) {
    const pid_t process = ::fork();
    if (process < 0) throw std::runtime_error("fork failed");
    // _exit: nothing of the test program's own, such as Catch's report, ends in a rank.
    if (process == 0) ::_exit(run_body(rank, body, watch, reports[rank]));
    processes.push_back(process);
  }
  kill_after(processes, timeout_seconds, watch);
  std::vector<RankOutcome> outcomes;
  for (int rank = 0; rank < count; ++rank) {
    int status = 0;
    ::waitpid(processes[static_cast<std::size_t>(rank)], &status, 0);
    outcomes.push_back({WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
                        reports[rank].error, reports[rank].seconds});
  }
  ::munmap(shared, bytes);
  return outcomes;
}

std::vector<RankOutcome> run_ranks(distributed::RankSegment segment, const RankBody& body,
                                   double timeout_seconds) {
  const int count = segment.count();
  return run_processes(
      count,
      [&](int rank) {
        const distributed::RankInfo ranks{rank, count, rank, count};
        distributed::SharedMemoryCommunicator communicator(ranks, std::move(segment), 30);
        body(communicator);
      },
      timeout_seconds);
}

std::vector<RankOutcome> run_ranks(int count, const RankBody& body, double timeout_seconds) {
  return run_ranks(distributed::RankSegment::create(count), body, timeout_seconds);
}

void expect(bool is_so, const std::string& what) {
  if (!is_so) throw std::runtime_error(what);
}

void require_all_done(const std::vector<RankOutcome>& outcomes) {
  for (std::size_t rank = 0; rank < outcomes.size(); ++rank) {
    INFO("rank " << rank << ": " << outcomes[rank].error);
    CHECK(outcomes[rank].exit_code == 0);
  }
}

}  // namespace ovid::test
