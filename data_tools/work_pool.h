#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace ovid::data_tools {

// A fixed number of threads, the one that made the pool among them: it works too whenever it waits
// here, so one thread means no other thread at all. The others take no signals: those reach the
// thread that reads.
class WorkPool {
 public:
  // `threads` >= 1.
  explicit WorkPool(std::size_t threads);
  ~WorkPool();  // as stop()
  WorkPool(const WorkPool&) = delete;
  WorkPool& operator=(const WorkPool&) = delete;

  // The cores that this process may use, which in a container are fewer than the machine has.
  static std::size_t cores();

  std::size_t threads() const { return helpers_.size() + 1; }

  // Queues work; of what is queued, all urgent tasks come first, each kind in its order. A task may
  // not throw. Urgent tasks must never wait; background tasks may, in wait_until, and are run by
  // the other threads only.
  using Task = std::function<void()>;
  void submit_urgent(Task task);
  void submit_background(Task task);

  // Waits until `ready` (called under the pool's lock) is true, and runs urgent tasks meanwhile.
  // Throws Stopped where stop() came first.
  struct Stopped {};
  void wait_until(const std::function<bool()>& ready);

  // Runs `change` under the pool's lock and wakes all that wait for it.
  void update(const std::function<void()>& change);

  // Drops what is queued, lets wait_until throw, and returns when nothing runs any more. For the
  // destructors of those whose tasks refer to them; the pool is of no use afterwards.
  void stop();

 private:
  void help();
  bool run_urgent(std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> urgent_;
  std::deque<Task> background_;
  bool stopped_ = false;
  std::vector<std::jthread> helpers_;
};

}  // namespace ovid::data_tools
