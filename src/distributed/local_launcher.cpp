#include "src/distributed/local_launcher.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "src/core/error.h"
#include "src/core/log.h"
#include "src/core/stopwatch.h"
#include "src/distributed/rank_segment.h"

extern char** environ;

namespace ovid::distributed {
namespace {

constexpr int kHandedOn[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2};
constexpr double kLookSeconds = 0.1;

// Blocks what the launcher waits for; the ranks get back what was before.
class SignalsToWaitFor {
 public:
  SignalsToWaitFor() {
    ::sigemptyset(&signals_);
    ::sigaddset(&signals_, SIGCHLD);
    for (const int signal : kHandedOn) ::sigaddset(&signals_, signal);
    ::pthread_sigmask(SIG_BLOCK, &signals_, &before_);
    // Where whoever started this ignores it, the system would forget the ranks' exit codes.
    ::signal(SIGCHLD, SIG_DFL);
  }
  ~SignalsToWaitFor() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsToWaitFor(const SignalsToWaitFor&) = delete;
  SignalsToWaitFor& operator=(const SignalsToWaitFor&) = delete;

  const sigset_t& before() const { return before_; }
  // The next one, 0 where none comes for a while.
  int wait() const {
    const timespec timeout{.tv_sec = 0, .tv_nsec = static_cast<long>(kLookSeconds * 1e9)};
    const int signal = ::sigtimedwait(&signals_, nullptr, &timeout);
    return signal < 0 ? 0 : signal;
  }

 private:
  sigset_t signals_ = {};
  sigset_t before_ = {};
};

bool is_failure(int exit_code) {
  return exit_code != static_cast<int>(ExitCode::kDone) &&
         exit_code != static_cast<int>(ExitCode::kStoppedAndSaved);
}

bool is_about_ranks(std::string_view variable) {
  return variable.starts_with("OVID_RANK") || variable.starts_with("OVID_LOCAL_RANK") ||
         variable.starts_with("OVID_SEGMENT_DESCRIPTOR=");
}

// Everything that a rank's process needs, made before the fork: after it, in the child, only system
// calls are made.
struct RankProgram {
  std::vector<std::string> words;
  std::vector<std::string> variables;
  std::vector<char*> argv;
  std::vector<char*> envp;

  RankProgram(const LocalLaunch& launch, int rank, int descriptor) : words(launch.command) {
    for (char** variable = environ; *variable != nullptr; ++variable) {
      if (!is_about_ranks(*variable)) variables.emplace_back(*variable);
    }
    for (const char* const name : {"OVID_RANK", "OVID_LOCAL_RANK"}) {
      variables.push_back(fmt::format("{}={}", name, rank));
    }
    for (const char* const name : {"OVID_RANKS", "OVID_LOCAL_RANKS"}) {
      variables.push_back(fmt::format("{}={}", name, launch.processes));
    }
    variables.push_back(fmt::format("OVID_SEGMENT_DESCRIPTOR={}", descriptor));
    for (std::string& word : words) argv.push_back(word.data());
    for (std::string& variable : variables) envp.push_back(variable.data());
    argv.push_back(nullptr);
    envp.push_back(nullptr);
  }
  RankProgram(const RankProgram&) = delete;
  RankProgram& operator=(const RankProgram&) = delete;
};

[[noreturn]] void become(const RankProgram& program, int descriptor, pid_t launcher,
                         const sigset_t& signals) {
  // The launcher's end, also by SIGKILL, is the rank's; it may have come before this call.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != launcher) ::_exit(static_cast<int>(ExitCode::kBug));
  // A group of its own: what a terminal sends to all is handed on by the launcher, once.
  ::setpgid(0, 0);
  ::fcntl(descriptor, F_SETFD, 0);
  // One that came meanwhile must not run the launcher's handler in this copy of it.
  for (const int signal : kHandedOn) ::signal(signal, SIG_DFL);
  ::pthread_sigmask(SIG_SETMASK, &signals, nullptr);
  ::execve(program.argv[0], program.argv.data(), program.envp.data());
  ::_exit(127);
}

// One start of all ranks.
class Job {
 public:
  Job(const LocalLaunch& launch, const SignalsToWaitFor& signals)
      : launch_(launch), signals_(signals), segment_(RankSegment::create(launch.processes)) {
    for (int rank = 0; rank < launch.processes; ++rank) start(rank);
  }
  ~Job() {
    send(SIGKILL);
    for (Rank& rank : ranks_) {
      if (!rank.exit_code) ::waitpid(rank.process, nullptr, 0);
    }
  }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // The exit code. `interrupted` tells whether a signal to stop came.
  int wait(bool& interrupted) {
    int interrupts = 0;
    bool was_killed = false;
    while (running() > 0) {
      const int signal = signals_.wait();
      if (signal != 0 && signal != SIGCHLD) {
        interrupted = interrupted || signal != SIGUSR2;
        if (signal == SIGINT) ++interrupts;
        was_killed = was_killed || interrupts >= 2;
        send(was_killed ? SIGKILL : signal);
      }
      collect();
      if (failed_ && since_failure_.seconds() > launch_.grace_seconds) send(SIGKILL);
    }
    return was_killed ? 128 + SIGINT : exit_code();
  }

 private:
  struct Rank {
    pid_t process;
    std::optional<int> exit_code;
  };

  void start(int rank) {
    const RankProgram program(launch_, rank, segment_.descriptor());
    const pid_t launcher = ::getpid();
    const pid_t process = ::fork();
    if (process == 0) become(program, segment_.descriptor(), launcher, signals_.before());
    if (process < 0) {
      const int reason = errno;
      send(SIGKILL);
      throw ResourceError(fmt::format("process {} of {} could not be started: {}; use fewer",
                                      rank + 1, launch_.processes, std::strerror(reason)));
    }
    ranks_.push_back({process, std::nullopt});
  }

  std::size_t running() const {
    return static_cast<std::size_t>(
        std::count_if(ranks_.begin(), ranks_.end(), [](const Rank& r) { return !r.exit_code; }));
  }

  void send(int signal, int but_rank = -1) const {
    for (std::size_t i = 0; i < ranks_.size(); ++i) {
      if (!ranks_[i].exit_code && static_cast<int>(i) != but_rank) {
        ::kill(ranks_[i].process, signal);
      }
    }
  }

  // The rank that the others found, or said, to have ended the run; -1 for none.
  int culprit() const { return segment_.culprit().load() - 1; }

  void collect() {
    for (std::size_t i = 0; i < ranks_.size(); ++i) {
      int status = 0;
      if (ranks_[i].exit_code || ::waitpid(ranks_[i].process, &status, WNOHANG) <= 0) continue;
      ranks_[i].exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      note_end(static_cast<int>(i), status);
    }
  }

  void note_end(int rank, int status) {
    const int code = *ranks_[static_cast<std::size_t>(rank)].exit_code;
    if (!is_failure(code) || failed_) return;
    failed_ = rank;
    since_failure_ = Stopwatch();
    if (WIFSIGNALED(status)) {
      log::error(fmt::format("rank {} was ended by signal {} ({})", rank, WTERMSIG(status),
                             ::strsignal(WTERMSIG(status))));
    }
    // Whose fault it is ends by itself, with the exit code that tells why.
    send(SIGTERM, culprit());
  }

  // Others fail because one did, and may end before it: what they wrote into the shared memory says
  // whose fault it was.
  int exit_code() const {
    if (culprit() >= 0 && culprit() < launch_.processes) {
      const int code = *ranks_[static_cast<std::size_t>(culprit())].exit_code;
      if (is_failure(code)) return code;
    }
    if (failed_) return *ranks_[static_cast<std::size_t>(*failed_)].exit_code;
    int code = 0;
    for (const Rank& rank : ranks_) code = std::max(code, *rank.exit_code);
    return code;
  }

  const LocalLaunch& launch_;
  const SignalsToWaitFor& signals_;
  RankSegment segment_;
  std::vector<Rank> ranks_;
  std::optional<int> failed_;  // the first
  Stopwatch since_failure_;
};

bool may_restart(int exit_code) {
  return is_failure(exit_code) && exit_code != static_cast<int>(ExitCode::kUsage) &&
         exit_code != static_cast<int>(ExitCode::kDoNotRequeue);
}

}  // namespace

int run_local_ranks(const LocalLaunch& launch) {
  if (launch.processes < 1 || launch.processes > kMaxLocalRanks) {
    throw UsageError(fmt::format("--processes {}: from 1 to {} on one machine", launch.processes,
                                 kMaxLocalRanks));
  }
  if (launch.restarts < 0) {
    throw UsageError(fmt::format("--restarts {}: 0 or more", launch.restarts));
  }
  const SignalsToWaitFor signals;
  for (int left = launch.restarts;; --left) {
    bool interrupted = false;
    const int code = Job(launch, signals).wait(interrupted);
    if (left == 0 || interrupted || !may_restart(code)) return code;
    log::warning(
        fmt::format("the run ended with exit code {}; all {} ranks are started again, {} "
                    "restarts left",
                    code, launch.processes, left - 1));
  }
}

}  // namespace ovid::distributed
