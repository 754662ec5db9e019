#include "tests/ptx_emulator/runtime/work.h"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "tests/ptx_emulator/runtime/runtime.h"

namespace ptx_emulator {
namespace {

// As many launches as a device's queue holds before the call blocks, and what copies may keep
// waiting.
constexpr std::uint64_t kMostPending = 1024;
constexpr std::uint64_t kMostStagedBytes = std::uint64_t{512} << 20;
// A program that makes no call for so long may be polling memory that a kernel is to write.
constexpr auto kIdleTime = std::chrono::milliseconds(200);
// On a GPU work begins at some time even where a program goes on calling, without ever waiting for
// it: a thread may poll memory while another one calls.
constexpr double kMostDelayMs = 1000;

// How a wait chooses among the work that may run.
enum Policy : int {
  kInOrder,      // the oldest of what the wait needs
  kShuffled,     // any of what the wait needs
  kShuffledAll,  // any that may run
  kNewestFirst,  // the newest of what the wait needs
  kNumShuffled = 3
};

thread_local bool t_on_worker = false;

}  // namespace

double clock_ms() {
  static const auto start = std::chrono::steady_clock::now();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

Scheduler::Scheduler(std::mutex& mutex, std::uint64_t seed)
    : mutex_(mutex), seed_(seed), random_(seed) {}

bool Scheduler::on_worker() {
  return t_on_worker;
}
void Scheduler::note_call() {
  ++num_calls_;
}

WorkPointer Scheduler::add(Device* device, std::shared_ptr<const Operation> operation,
                           const std::vector<WorkPointer>& after) {
  auto work = std::make_shared<Work>();
  work->device = device;
  work->operation = std::move(operation);
  work->sequence = next_sequence_++;
  work->queued_ms = clock_ms();
  if (const auto* copy = std::get_if<CopyOperation>(work->operation.get());
      copy != nullptr && copy->staged) {
    work->staged_bytes = copy->staged->size();
    staged_bytes_ += work->staged_bytes;
  }
  for (const WorkPointer& before : after) {
    if (!before || before->done) continue;
    if (std::find(work->after.begin(), work->after.end(), before) != work->after.end()) continue;
    work->after.push_back(before);
    before->successors.push_back(work);
    ++work->blockers;
  }
  pending_[work->sequence] = work;
  if (work->blockers == 0) ready_[work->sequence] = work;
  num_pending_ = pending_.size();
  if (!has_background_) start_background();
  return work;
}

void Scheduler::mark_needed(const WorkPointer& target) {
  const std::uint64_t mark = ++mark_;
  std::vector<Work*> open{target.get()};
  target->mark = mark;
  while (!open.empty()) {
    Work* const work = open.back();
    open.pop_back();
    for (const WorkPointer& before : work->after) {
      if (before->done || before->mark == mark) continue;
      before->mark = mark;
      open.push_back(before.get());
    }
  }
}

WorkPointer Scheduler::choose(const WorkPointer& target, int policy) {
  std::vector<WorkPointer> candidates;
  for (const auto& [sequence, work] : ready_) {
    if (policy != kShuffledAll && target && work->mark != mark_) continue;
    candidates.push_back(work);
    if (policy == kInOrder) break;
  }
  if (candidates.empty()) return nullptr;
  if (policy == kInOrder) return candidates.front();
  if (policy == kNewestFirst) return candidates.back();
  return candidates[random_() % candidates.size()];
}

void Scheduler::wait(Lock& lock, const WorkPointer& target) {
  if (target ? target->done : pending_.empty()) return;
  require(!t_on_worker, "a callback must not wait for the device", cudaErrorNotPermitted);
  const int policy = seed_ == 0 ? kInOrder : static_cast<int>(1 + random_() % kNumShuffled);
  const std::uint64_t last = next_sequence_ - 1;
  const auto ended = [&] {
    return target ? target->done : pending_.empty() || pending_.begin()->first > last;
  };
  std::uint64_t mark = 0;
  while (!ended()) {
    if (running_) {
      changed_.wait(lock);
      continue;
    }
    if (target && (mark == 0 || mark != mark_)) {
      mark_needed(target);
      mark = mark_;
    }
    run(lock, choose(target, policy));
  }
}

void Scheduler::poll(Lock& lock, const WorkPointer& target) {
  if (running_ || t_on_worker || (target ? target->done : pending_.empty())) return;
  if (target) mark_needed(target);
  run(lock, choose(target, kInOrder));
}

void Scheduler::limit(Lock& lock) {
  if (t_on_worker) return;
  while (num_pending_ > kMostPending || staged_bytes_ > kMostStagedBytes) {
    if (running_) {
      changed_.wait(lock);
    } else {
      run(lock, choose(nullptr, kInOrder));
    }
  }
}

void Scheduler::run(Lock& lock, const WorkPointer& work) {
  // The graph of pending work has no cycle, so something can always run.
  if (!work) throw ApiError(cudaErrorUnknown, "queued work waits for itself");
  ready_.erase(work->sequence);
  running_ = true;
  running_device_ = work->device;
  const bool alive = work->device == nullptr || work->device->sticky == cudaSuccess;
  lock.unlock();
  cudaError_t error = cudaSuccess;
  std::string message;
  t_on_worker = true;
  try {
    if (alive) execute(*work->device, *work->operation);
  } catch (const ApiError& fault) {
    error = fault.code();
    message = fault.what();
  } catch (const std::exception& fault) {
    error = cudaErrorLaunchFailure;
    message = fault.what();
  }
  work->operation.reset();
  t_on_worker = false;
  lock.lock();
  running_ = false;
  running_device_ = nullptr;
  finish(work);
  if (error != cudaSuccess) {
    Runtime::instance().report(message);
    break_device(*work->device, error);
  }
  changed_.notify_all();
}

void Scheduler::finish(const WorkPointer& work) {
  work->done = true;
  work->finished_ms = std::max(clock_ms(), last_ms_ + 0.001);
  last_ms_ = work->finished_ms;
  work->after.clear();
  staged_bytes_ -= std::exchange(work->staged_bytes, 0);
  for (const std::weak_ptr<Work>& successor : std::exchange(work->successors, {})) {
    const WorkPointer next = successor.lock();
    if (next && !next->done && --next->blockers == 0) ready_[next->sequence] = next;
  }
  pending_.erase(work->sequence);
  num_pending_ = pending_.size();
}

void Scheduler::discard(const Device* device) {
  std::vector<WorkPointer> dropped;
  for (const auto& [sequence, work] : pending_) {
    const bool runs = running_ && ready_.count(sequence) == 0 && work->blockers == 0;
    if (work->device == device && !runs) dropped.push_back(work);
  }
  for (const WorkPointer& work : dropped) {
    ready_.erase(work->sequence);
    finish(work);
    ready_.erase(work->sequence);
  }
  changed_.notify_all();
}

void Scheduler::start_background() {
  has_background_ = true;
  // The program's signals are for its own threads.
  sigset_t all, before;
  sigfillset(&all);
  sigdelset(&all, SIGSEGV);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread([this] { background(); }).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Scheduler::background() {
  for (;;) {
    Lock lock(mutex_);
    const std::uint64_t calls = num_calls_;
    lock.unlock();
    std::this_thread::sleep_for(kIdleTime);
    lock.lock();
    while (!running_ && !ready_.empty()) {
      const WorkPointer oldest = ready_.begin()->second;
      const bool late = clock_ms() - std::max(oldest->queued_ms, last_ms_) > kMostDelayMs;
      if (num_calls_ != calls && !late) break;
      run(lock, oldest);
    }
  }
}

}  // namespace ptx_emulator
