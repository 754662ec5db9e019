#include "src/distributed/watchdog.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <memory>
#include <vector>

#include "src/core/error.h"
#include "src/core/log.h"
#include "src/distributed/collective_text.h"
#include "src/distributed/rank_text.h"

namespace ovid::distributed {
namespace {

constexpr int kDumpSignal = SIGUSR2;

sigset_t dump_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, kDumpSignal);
  return signals;
}

double seconds_between(std::chrono::steady_clock::time_point from,
                       std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

std::vector<FlightRecorder::Entry> entries_of(const FlightRecorder& recorder) {
  std::vector<FlightRecorder::Entry> entries(FlightRecorder::kEntries);
  entries.resize(recorder.read(entries));
  return entries;
}

// Of one rank: its newest collective; a sequence of 0 where there is none.
struct Newest {
  int rank = 0;
  FlightRecorder::Entry entry;
};

std::vector<Newest> newest_of_readable(const Communicator& communicator) {
  std::vector<Newest> all;
  for (int rank = 0; rank < communicator.count(); ++rank) {
    const FlightRecorder* recorder = communicator.recorder_of(rank);
    if (recorder == nullptr) continue;
    const auto entries = entries_of(*recorder);
    all.push_back(
        {.rank = rank, .entry = entries.empty() ? FlightRecorder::Entry{} : entries.back()});
  }
  return all;
}

std::string last_call(const FlightRecorder::Entry& entry) {
  return entry.header.sequence == 0 ? "it began none" : text_of(entry.header);
}

}  // namespace

std::string describe_ranks_behind(const Communicator& communicator) {
  const std::vector<Newest> all = newest_of_readable(communicator);
  if (std::ssize(all) < communicator.count()) {
    return fmt::format(
        "the last collective of rank {}: {}; `ovid distributed flight RUN/flight` "
        "tells from the dumps of all ranks which one is behind",
        communicator.rank(), all.empty() ? "unknown" : last_call(all.front().entry));
  }
  const auto by_sequence = [](const Newest& a, const Newest& b) {
    return a.entry.header.sequence < b.entry.header.sequence;
  };
  const Newest& oldest = *std::min_element(all.begin(), all.end(), by_sequence);
  const Newest& newest = *std::max_element(all.begin(), all.end(), by_sequence);
  std::vector<int> behind;
  std::vector<int> inside;
  for (const Newest& of : all) {
    if (of.entry.header.sequence == oldest.entry.header.sequence) behind.push_back(of.rank);
    if (of.entry.header.sequence > 0 && of.entry.ended == 0) inside.push_back(of.rank);
  }
  if (oldest.entry.header.sequence < newest.entry.header.sequence) {
    return fmt::format("{} behind: last collective {}, while rank {} is in {}",
                       describe_ranks(behind) + (behind.size() == 1 ? " is" : " are"),
                       last_call(oldest.entry), newest.rank, text_of(newest.entry.header));
  }
  if (inside.empty()) {
    return fmt::format("no rank waits for another: the last collective of all, {}, has ended",
                       last_call(oldest.entry));
  }
  return fmt::format("all ranks came to collective {}, and {} did not get out of it",
                     text_of(oldest.entry.header), describe_ranks(inside));
}

void Watchdog::block_signal() {
  const sigset_t signals = dump_signals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

Watchdog::Watchdog(Communicator& communicator, const WatchdogOptions& options)
    : communicator_(communicator),
      options_(options),
      timeouts_(options.timeouts),
      since_(Clock::now()),
      last_look_(since_) {
  block_signal();
  try {
    set_aside_flight_dumps(options_.flight_directory, communicator.rank(), communicator.count());
  } catch (const std::exception& e) {
    log::warning(std::string("flight dumps of an earlier start remain: ") + e.what());
  }
  thread_ = std::thread([this] { watch(); });
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stopped_.notify_all();
  ::pthread_kill(thread_.native_handle(), kDumpSignal);  // ends its wait for the signal
  thread_.join();
}

void Watchdog::enter(Section section, std::int64_t step) {
  const auto now = Clock::now();
  const std::lock_guard lock(mutex_);
  timeouts_.note(section_, seconds_between(since_, now));
  section_ = section;
  step_ = step;
  since_ = now;
  ++entered_;
}

void Watchdog::watch() {
  const sigset_t signals = dump_signals();
  const auto nanoseconds = static_cast<std::int64_t>(options_.poll_seconds * 1e9);
  const timespec wait{.tv_sec = nanoseconds / 1'000'000'000,
                      .tv_nsec = nanoseconds % 1'000'000'000};
  while (true) {
    const int signal = ::sigtimedwait(&signals, nullptr, &wait);
    {
      const std::lock_guard lock(mutex_);
      if (stop_) return;
    }
    if (signal == kDumpSignal) {
      const std::string path = write_dump(flight_dump("SIGUSR2 asked for it", false));
      if (!path.empty()) log::info(fmt::format("SIGUSR2: the last collectives are in {}", path));
    }
    look(Clock::now());
  }
}

void Watchdog::look(Clock::time_point now) {
  double seconds = 0;
  double limit = 0;
  {
    const std::lock_guard lock(mutex_);
    // A gap that long means that the whole process stood still, and the section with it.
    const double gap = seconds_between(last_look_, now);
    constexpr double kStoodStill = 1.0;
    if (gap > options_.poll_seconds + kStoodStill) since_ += now - last_look_;
    since_ = std::min(since_, now);
    last_look_ = now;
    seconds = seconds_between(since_, now);
    limit = timeouts_.limit_seconds(section_);
    if (failed_ || seconds <= limit) return;
  }
  fail(seconds, limit);
}

void Watchdog::fail(double seconds, double limit) {
  std::string reason;
  std::int64_t entered = 0;
  {
    const std::lock_guard lock(mutex_);
    entered = entered_;
    reason = fmt::format("rank {}: {} of step {} hangs: {:.1f} s, the limit is {:.1f} s",
                         communicator_.rank(), name_of(section_), step_, seconds, limit);
  }
  reason += "; " + describe_ranks_behind(communicator_);
  {
    const std::lock_guard lock(mutex_);
    dumped_ = true;
  }
  const std::string path = write_dump(flight_dump(reason, true));
  if (!path.empty()) reason += "; dump: " + path;
  log::error(reason);
  const bool stopped = wait_unless_stopped(options_.grace_seconds);
  {
    const std::lock_guard lock(mutex_);
    last_look_ = Clock::now();
    if (stopped || entered_ != entered) {
      if (!stopped) log::warning("it went on after all: the run continues");
      dumped_ = false;
      return;
    }
    failed_ = true;
  }
  if (!options_.ends_process) return;
  communicator_.abort(reason);
  if (wait_unless_stopped(options_.grace_seconds)) return;
  // No destructors: the main thread is stuck, and what it holds must not be touched.
  ::_exit(static_cast<int>(ExitCode::kResources));
}

bool Watchdog::wait_unless_stopped(double seconds) {
  std::unique_lock lock(mutex_);
  return stopped_.wait_for(lock, std::chrono::duration<double>(seconds), [&] { return stop_; });
}

FlightDump Watchdog::flight_dump(std::string_view reason, bool with_stack) {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  FlightDump dump;
  dump.rank = communicator_.rank();
  dump.ranks = communicator_.count();
  dump.host = host.data();
  dump.process = ::getpid();
  dump.time =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  dump.monotonic_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count();
  dump.reason = reason;
  {
    const std::lock_guard lock(mutex_);
    dump.section = name_of(section_);
    dump.step = step_;
    dump.section_seconds = std::max(0.0, seconds_between(since_, Clock::now()));
  }
  dump.entries = entries_of(communicator_.recorder());
  if (with_stack) dump.stack = main_stack_.take();
  return dump;
}

std::string Watchdog::write_dump(const FlightDump& dump) noexcept {
  try {
    write_flight_dump(options_.flight_directory, dump);
    return flight_dump_path(options_.flight_directory, dump.rank).string();
  } catch (const std::exception& e) {
    log::warning(std::string("no flight dump: ") + e.what());
    return "";
  }
}

void Watchdog::dump_failure(std::string_view reason) noexcept {
  try {
    {
      const std::lock_guard lock(mutex_);
      if (dumped_) return;
      dumped_ = true;
    }
    write_dump(flight_dump(reason, false));
  } catch (const std::exception& e) {
    log::warning(std::string("no flight dump: ") + e.what());
  }
}

}  // namespace ovid::distributed
