#include "src/checkpoint/async_writer.h"

#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>

#include "src/checkpoint/commit_checkpoint.h"
#include "src/checkpoint/snapshot.h"
#include "src/core/error.h"
#include "src/core/log.h"

namespace ovid::checkpoint {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// What became of one save. Warnings travel with it, so that they are logged by the thread that
// draws the progress line.
struct Outcome {
  SavedCheckpoint saved;
  std::vector<std::string> warnings;
  std::exception_ptr failure;
};

}  // namespace

struct AsyncCheckpointWriter::Implementation {
  Path run_directory;
  int copy_threads;
  Snapshot snapshot;  // of the writer's thread while one is at work, otherwise of the caller
  std::thread thread;
  std::int64_t step_in_flight = 0;
  Hurry hurry{false};

  mutable std::mutex mutex;
  std::condition_variable finished;
  bool at_work = false;          // guarded by `mutex`
  std::deque<Outcome> outcomes;  // guarded by `mutex`; the oldest first

  // At the priority of training's threads. A lower one saves no time, since the work stays the
  // same, but stretches it until the checkpoint is durable: nice 4 by 2 to 1, nice 10 by 40 to 1
  // (124M parameters on two busy cores).
  void work(std::int64_t step, const Retention& retention) {
    Outcome outcome;
    outcome.saved.step = step;
    const Clock::time_point start = Clock::now();
    try {
      CommittedCheckpoint committed =
          commit_checkpoint(run_directory, step, snapshot.content(), retention, &hurry);
      outcome.saved.path = std::move(committed.path);
      outcome.warnings = std::move(committed.warnings);
    } catch (...) {
      outcome.failure = std::current_exception();
    }
    outcome.saved.write_seconds = seconds_since(start);
    const std::lock_guard lock(mutex);
    outcomes.push_back(std::move(outcome));
    at_work = false;
    finished.notify_all();
  }

  // Whether the write in flight, if any, ends within that time.
  bool finishes_within(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex);
    return finished.wait_for(lock, time, [&] { return !at_work; });
  }

  bool is_at_work() const {
    const std::lock_guard lock(mutex);
    return at_work;
  }

  void join() {
    if (thread.joinable()) thread.join();
  }

  void start(std::int64_t step, const Retention& retention) {
    step_in_flight = step;
    {
      const std::lock_guard lock(mutex);
      at_work = true;
    }
    try {
      thread = std::thread([this, step, retention] { work(step, retention); });
    } catch (const std::system_error& error) {
      const std::lock_guard lock(mutex);
      at_work = false;
      throw ResourceError(
          fmt::format("cannot start a thread that writes the checkpoint: {}; raise the limit of "
                      "processes (ulimit -u) or set checkpoint.asynchronous: false",
                      error.what()));
    }
  }

  std::optional<SavedCheckpoint> take_oldest() {
    Outcome outcome;
    {
      const std::lock_guard lock(mutex);
      if (outcomes.empty()) return std::nullopt;
      outcome = std::move(outcomes.front());
      outcomes.pop_front();
    }
    for (const std::string& warning : outcome.warnings) log::warning(warning);
    if (outcome.failure) std::rethrow_exception(outcome.failure);
    return outcome.saved;
  }
};

AsyncCheckpointWriter::AsyncCheckpointWriter(const Path& run_directory, int copy_threads)
    : implementation_(std::make_unique<Implementation>()) {
  implementation_->run_directory = run_directory;
  implementation_->copy_threads = copy_threads;
}

AsyncCheckpointWriter::~AsyncCheckpointWriter() {
  implementation_->hurry = true;
  implementation_->join();
  for (bool told = false; !told;) {
    try {
      told = !implementation_->take_oldest();
    } catch (const std::exception& error) {
      log::error(fmt::format("a checkpoint was not written: {}", error.what()));
    }
  }
}

void AsyncCheckpointWriter::prepare(const CheckpointContent& content) {
  Implementation& own = *implementation_;
  // A held copy may be what the thread is writing from.
  if (own.snapshot.held_bytes() > 0) return;
  own.snapshot.prepare(content, own.copy_threads);
}

SaveDelay AsyncCheckpointWriter::save(std::int64_t step, const CheckpointContent& content,
                                      const Retention& retention) {
  check_content(step, content, retention);
  Implementation& own = *implementation_;
  SaveDelay delay;
  const Clock::time_point begin = Clock::now();
  // A short wait is not worth a line of the log: small models save faster than disks sync.
  if (!own.finishes_within(std::chrono::milliseconds(500))) {
    log::info(fmt::format(
        "the checkpoint of step {} waits: that of step {} is still being written; a larger "
        "checkpoint.every_steps or a faster disk avoids that",
        step, own.step_in_flight));
  }
  own.join();
  delay.waited_seconds = seconds_since(begin);
  const Clock::time_point copy_begin = Clock::now();
  own.snapshot.copy(content, own.copy_threads);
  delay.copied_seconds = seconds_since(copy_begin);
  own.start(step, retention);
  return delay;
}

std::optional<SavedCheckpoint> AsyncCheckpointWriter::poll() {
  return implementation_->take_oldest();
}

std::optional<SavedCheckpoint> AsyncCheckpointWriter::wait() {
  implementation_->join();
  return implementation_->take_oldest();
}

bool AsyncCheckpointWriter::writing() const {
  return implementation_->is_at_work();
}

std::uint64_t AsyncCheckpointWriter::held_bytes() const {
  return implementation_->snapshot.held_bytes();
}

}  // namespace ovid::checkpoint
