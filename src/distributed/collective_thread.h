#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

namespace ovid::distributed {

// The thread in which a communicator runs its collectives, one after another in the order in which
// they were begun. Whoever waits for one that nobody runs yet runs it himself, which saves two
// changes of threads. The first failure ends it: what was begun and everything later throws that
// one.
class CollectiveThread {
 public:
  // `after_failure` runs once, in the thread, when it has failed: to tell others.
  explicit CollectiveThread(std::function<void(const std::exception_ptr&)> after_failure);
  // Lets what was begun end first, unless it failed.
  ~CollectiveThread();
  CollectiveThread(const CollectiveThread&) = delete;
  CollectiveThread& operator=(const CollectiveThread&) = delete;

  // Throws the failure where there was one.
  void enqueue(std::int64_t sequence, std::function<void()> work);
  // Until the work of that number has been done. Throws the failure, once no work runs any more
  // that could touch the operands (or that did not end in two seconds).
  void wait(std::int64_t sequence);
  // Both, without waking the thread.
  void run(std::int64_t sequence, std::function<void()> work);

  // Fails from outside; work that runs is to look at failed() now and then. Later ones count for
  // nothing.
  void fail(std::exception_ptr failure) noexcept;
  bool failed() const { return failed_.load(std::memory_order_relaxed); }
  // Throws the failure where there is one.
  void require_sound();

 private:
  void serve();
  void push(std::int64_t sequence, std::function<void()> work);
  // Runs the next work with the lock given up meanwhile.
  void run_next(std::unique_lock<std::mutex>& lock);

  std::function<void(const std::exception_ptr&)> after_failure_;
  std::mutex mutex_;
  std::condition_variable work_came_;  // for the thread
  std::condition_variable work_done_;  // for those who wait
  std::deque<std::pair<std::int64_t, std::function<void()>>> queue_;
  std::int64_t last_done_ = 0;
  std::exception_ptr failure_;
  std::atomic<bool> failed_ = false;
  bool closing_ = false;
  bool runs_ = false;   // some work
  std::thread thread_;  // the last member: it uses the others
};

}  // namespace ovid::distributed
