#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "src/core/file.h"
#include "src/distributed/communicator.h"
#include "src/distributed/flight_dump.h"
#include "src/distributed/main_stack.h"
#include "src/distributed/section_timeouts.h"

namespace ovid::distributed {

struct WatchdogOptions {
  TimeoutSettings timeouts;
  Path flight_directory;      // where dumps go: RUN/flight, made when first needed
  bool ends_process = true;   // false: a timeout dumps, warns and is never told again
  double poll_seconds = 0.1;  // between two looks; the detection is late by at most this
  // Between the first dump and abort(), so that the other ranks' own watchdogs can dump what they
  // saw; then again between abort() and the end of the process, so that it can unwind.
  double grace_seconds = 2;
};

// A thread that ends a rank, and through abort() the run, when a section of the training loop takes
// longer than it ever should. It then names the ranks that are behind, their last collective and
// the one that they did not come to, writes RUN/flight/rank-00003.jsonl (flight_dump.h) with the
// stack of the main thread, aborts the communicator, and ends the process with exit code 6 where
// the main thread does not end it.
//
// All ranks enter the same sections at the same places of the program, and wait for each other
// (a barrier) before they leave evaluation, checkpoint and sample; so a limit means the same on
// every rank, also for one that only waits. Time in which this process was stopped as a whole
// (Ctrl-Z) does not count.
//
// SIGUSR2 writes a dump and lets the run go on, where every thread has blocked it (block_signal()
// before the first thread is made).
class Watchdog {
 public:
  // Begins in Section::kSetup; sets dumps of an earlier start aside. To be made on the thread whose
  // progress is watched; `communicator` must outlive it.
  Watchdog(Communicator& communicator, const WatchdogOptions& options);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // The section before ends here, and its time is learned from; `step` is told in messages.
  void enter(Section section, std::int64_t step);

  // For failures that are noticed elsewhere (RankError, CollectiveError): writes the dump with
  // `reason`, where none was written for a failure yet.
  void dump_failure(std::string_view reason) noexcept;

  // Of the calling thread and of those that it makes later.
  static void block_signal();

 private:
  using Clock = std::chrono::steady_clock;

  void watch();
  void look(Clock::time_point now);
  void fail(double seconds, double limit);
  bool wait_unless_stopped(double seconds);
  FlightDump flight_dump(std::string_view reason, bool with_stack);
  std::string write_dump(const FlightDump& dump) noexcept;  // the path; empty where it failed

  Communicator& communicator_;
  const WatchdogOptions options_;
  MainStack main_stack_;
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stop_ = false;
  bool failed_ = false;
  bool dumped_ = false;  // for a failure
  std::int64_t entered_ = 0;
  SectionTimeouts timeouts_;
  Section section_ = Section::kSetup;
  std::int64_t step_ = 0;
  Clock::time_point since_;
  Clock::time_point last_look_;
  std::thread thread_;
};

// One sentence on who is behind: the ranks whose last collective is the oldest, that collective,
// and the one that the others wait in. From the recorders that this process can read; where it
// reads its own alone, says so and how to find out.
std::string describe_ranks_behind(const Communicator& communicator);

}  // namespace ovid::distributed
