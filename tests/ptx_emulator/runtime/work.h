#pragma once
// Queued work, and when it runs: as late as the program's waits allow, in an order that the seed
// chooses among those that streams and events permit.

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <vector>

#include "tests/ptx_emulator/runtime/operation.h"

namespace ptx_emulator {

using Lock = std::unique_lock<std::mutex>;

// An operation between its call and its end.
struct Work {
  Device* device = nullptr;
  std::shared_ptr<const Operation> operation;
  std::uint64_t sequence = 0;  // order of queueing
  bool done = false;
  double queued_ms = 0;
  double finished_ms = 0;  // of the process's clock, strictly increasing from work to work
  std::uint64_t staged_bytes = 0;

  // The scheduler's.
  std::vector<std::shared_ptr<Work>> after;  // what must end before; emptied at its own end
  std::vector<std::weak_ptr<Work>> successors;
  std::uint32_t blockers = 0;
  std::uint64_t mark = 0;
};
using WorkPointer = std::shared_ptr<Work>;

// All members are called with the runtime's lock, which they release while an operation runs. One
// operation runs at a time; whichever thread waits runs it.
class Scheduler {
 public:
  Scheduler(std::mutex& mutex, std::uint64_t seed);

  // Queues work behind `after` (null and finished ones are left out).
  WorkPointer add(Device* device, std::shared_ptr<const Operation> operation,
                  const std::vector<WorkPointer>& after);
  // Runs work until the target (null: everything) has ended.
  void wait(Lock& lock, const WorkPointer& target);
  // Runs at most one piece of work that the target waits for: what a program that polls sees is
  // progress, but late.
  void poll(Lock& lock, const WorkPointer& target);
  // Runs the oldest work while more is queued than a device's queue would hold.
  void limit(Lock& lock);
  // Ends the device's queued work without running it.
  void discard(const Device* device);
  // The program is alive: work that nobody waits for is left alone for a while longer, but no
  // longer than a second after it was queued or other work ended.
  void note_call();
  // Of the work that runs at this moment; null where none does.
  Device* running_device() const { return running_device_; }
  std::uint64_t num_pending() const { return num_pending_; }
  // The thread that asks is executing work (a callback): it must not wait.
  static bool on_worker();

 private:
  WorkPointer choose(const WorkPointer& target, int policy);
  void run(Lock& lock, const WorkPointer& work);
  void finish(const WorkPointer& work);
  void mark_needed(const WorkPointer& target);
  void start_background();
  void background();

  std::mutex& mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, WorkPointer> ready_;
  std::map<std::uint64_t, WorkPointer> pending_;
  std::uint64_t next_sequence_ = 1, num_pending_ = 0, mark_ = 0, staged_bytes_ = 0;
  std::uint64_t num_calls_ = 0;
  Device* running_device_ = nullptr;
  bool running_ = false, has_background_ = false;
  double last_ms_ = 0;
  std::uint64_t seed_;
  std::mt19937_64 random_;
};

// Milliseconds since the process began to use the runtime.
double clock_ms();

}  // namespace ptx_emulator
