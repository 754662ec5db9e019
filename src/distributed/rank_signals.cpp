#include "src/distributed/rank_signals.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>
#include <ctime>
#include <random>
#include <thread>

#include "kernels/cpu/parallel_for.h"
#include "src/core/error.h"
#include "src/core/stopwatch.h"
#include "src/core/version.h"
#include "src/distributed/collective_text.h"
#include "src/distributed/errors.h"

namespace ovid::distributed {
namespace {

using State = RankSegment::State;
using Place = RankSegment::Place;

// Between two looks at whether the others live.
constexpr long kLookNanoseconds = 40'000'000;

// A few microseconds: as long as a wake-up takes. More pays nothing, and where ranks share cores
// with each other or with computing threads it takes their time.
constexpr int kSpins = 100;

void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Between processes, so not FUTEX_PRIVATE.
void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t value) {
  const timespec timeout{.tv_sec = 0, .tv_nsec = kLookNanoseconds};
  ::syscall(SYS_futex, &word, FUTEX_WAIT, value, &timeout, nullptr, 0);
}

void futex_wake_all(std::atomic<std::uint32_t>& word) {
  ::syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

// A lock on byte `rank` of the segment's file says that the rank lives: the system drops it at the
// end of the process, however that comes, and its answer holds across namespaces of processes.
struct flock lock_of(int rank, short type) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = rank;
  lock.l_len = 1;
  return lock;
}

// Drawn once; a process that was forked has another number.
std::uint64_t process_token() {
  static const std::uint64_t drawn = [] {
    std::random_device device;
    return std::uint64_t{device()} << 32 | device();
  }();
  return drawn + static_cast<std::uint64_t>(::getpid());
}

bool is_at_least(std::uint32_t done, std::uint32_t step) {
  return static_cast<std::int32_t>(done - step) >= 0;
}

// Counts a sleeper for as long as it lives, so that whoever posts knows to wake it.
class Sleeper {
 public:
  explicit Sleeper(std::atomic<std::uint32_t>& sleepers) : sleepers_(sleepers) { ++sleepers_; }
  ~Sleeper() { --sleepers_; }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;

 private:
  std::atomic<std::uint32_t>& sleepers_;
};

}  // namespace

RankSignals::RankSignals(RankSegment& segment, int rank, double join_seconds)
    : segment_(segment),
      rank_(rank),
      spins_(segment.count() <= kernels::cpu::available_threads() ? kSpins : 1),
      own_done_(segment.place(rank).done.load()),
      known_done_(static_cast<std::size_t>(segment.count()), own_done_) {
  join(join_seconds);
}

RankSignals::~RankSignals() {
  segment_.place(rank_).state.store(State::kLeft);
  futex_wake_all(segment_.place(rank_).done);
}

void RankSignals::join(double join_seconds) {
  struct flock lock = lock_of(rank_, F_WRLCK);
  if (::fcntl(segment_.descriptor(), F_SETLK, &lock) != 0) {
    throw UsageError(fmt::format("rank {} is there twice ({}); each rank's number must differ",
                                 rank_, std::strerror(errno)));
  }
  Place& place = segment_.place(rank_);
  place.process = static_cast<std::int32_t>(::getpid());
  place.process_token = process_token();
  const std::string_view build = kVersion;
  std::copy_n(build.begin(), std::min(build.size(), place.build.size() - 1), place.build.begin());
  State expected = State::kAbsent;
  if (!place.state.compare_exchange_strong(expected, State::kPresent)) {
    throw UsageError(fmt::format("rank {} is there twice; each rank's number must differ", rank_));
  }
  try {
    wait_for_places(join_seconds);
    require_same_build();
  } catch (...) {
    place.state.store(State::kLeft);
    throw;
  }
}

void RankSignals::wait_for_places(double join_seconds) {
  const Stopwatch watch;
  for (int other = 0; other < segment_.count(); ++other) {
    while (segment_.place(other).state.load() == State::kAbsent) {
      throw_if_aborted();
      look_for_dead_ranks();
      if (watch.seconds() > join_seconds) {
        abort(fmt::format("rank {} did not join the run within {} s; look at its messages, or at "
                          "whether as many processes were started as there are ranks",
                          other, join_seconds),
              other);
        throw_if_aborted();
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
}

void RankSignals::require_same_build() const {
  const auto& own = segment_.place(rank_).build;
  for (int other = 0; other < segment_.count(); ++other) {
    const auto& theirs = segment_.place(other).build;
    if (theirs == own) continue;
    throw UsageError(
        fmt::format("rank {} is ovid {}, rank {} is ovid {}; start all ranks with the same program",
                    rank_, std::string_view(own.data()), other,
                    std::string(theirs.begin(), std::find(theirs.begin(), theirs.end(), '\0'))));
  }
}

void RankSignals::post(std::uint32_t step) {
  Place& place = segment_.place(rank_);
  own_done_ = step;
  // In one order with the sleepers' count: either the sleeper sees the step, or it is woken.
  place.done.store(step, std::memory_order_seq_cst);
  if (place.waiters.load(std::memory_order_seq_cst) != 0) futex_wake_all(place.done);
}

bool RankSignals::has_done(int rank, std::uint32_t step) {
  std::uint32_t& known = known_done_[static_cast<std::size_t>(rank)];
  if (is_at_least(known, step)) return true;
  known = segment_.place(rank).done.load(std::memory_order_acquire);
  return is_at_least(known, step);
}

void RankSignals::wait_for(int rank, std::uint32_t step) {
  for (int i = 0; i < spins_; ++i) {
    if (has_done(rank, step)) return;
    pause_briefly();
  }
  sleep_until_done(rank, step);
}

void RankSignals::wait_for_others(std::uint32_t step) {
  for (int other = 0; other < segment_.count(); ++other) {
    if (other != rank_) wait_for(other, step);
  }
}

void RankSignals::sleep_until_done(int rank, std::uint32_t step) {
  Place& place = segment_.place(rank);
  const Sleeper sleeper(place.waiters);
  while (true) {
    const std::uint32_t done = place.done.load(std::memory_order_seq_cst);
    if (is_at_least(done, step)) break;
    throw_if_aborted();
    // Whoever left posted its steps before: what has not come by then will not come.
    if (place.state.load() == State::kLeft && !has_done(rank, step)) throw_left(rank);
    const Stopwatch watch;
    futex_wait(place.done, done);
    if (watch.seconds() > 0.9e-9 * static_cast<double>(kLookNanoseconds)) look_for_dead_ranks();
  }
  known_done_[static_cast<std::size_t>(rank)] = place.done.load(std::memory_order_acquire);
}

void RankSignals::throw_if_aborted() const {
  if (segment_.abort_reason().is_set()) throw RankError(segment_.abort_reason().text());
}

void RankSignals::throw_left(int rank) const {
  throw RankError(
      fmt::format("rank {} ended while rank {} waited for it; its last collective was {}. Look at "
                  "its messages",
                  rank, rank_, last_collective_of(rank)));
}

bool RankSignals::is_dead(int rank) const {
  const Place& place = segment_.place(rank);
  if (place.state.load() != State::kPresent) return false;
  // Locks of one process do not exclude each other; and ranks that are threads die together.
  if (place.process_token == process_token()) return false;
  struct flock lock = lock_of(rank, F_WRLCK);
  if (::fcntl(segment_.descriptor(), F_GETLK, &lock) != 0) return false;
  return lock.l_type == F_UNLCK && place.state.load() == State::kPresent;
}

void RankSignals::look_for_dead_ranks() {
  for (int other = 0; other < segment_.count(); ++other) {
    if (other == rank_ || !is_dead(other)) continue;
    abort(fmt::format("rank {} (process {}) died; its last collective was {}. Look for the reason "
                      "in its messages and in the system's log (out of memory?)",
                      other, segment_.place(other).process, last_collective_of(other)),
          other);
    throw_if_aborted();
  }
}

std::string RankSignals::last_collective_of(int rank) const {
  std::vector<FlightRecorder::Entry> entries(FlightRecorder::kEntries);
  const std::size_t count = segment_.recorder(rank)->read(entries);
  if (count == 0) return "none";
  const FlightRecorder::Entry& last = entries[count - 1];
  return text_of(last.header) + (last.ended != 0 ? ", which it had ended" : ", which it was in");
}

void RankSignals::abort(std::string_view reason, int culprit) noexcept {
  if (segment_.abort_reason().set(reason)) segment_.culprit().store(culprit + 1);
  for (int other = 0; other < segment_.count(); ++other) {
    futex_wake_all(segment_.place(other).done);
  }
}

}  // namespace ovid::distributed
