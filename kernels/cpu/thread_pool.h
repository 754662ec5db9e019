#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace ovid::kernels::cpu {

// Threads that wait for work: what parallel_for stands on where there is no OpenMP. It is chosen
// where the thread sanitizer runs, so it is plain before it is quick: one lock, two conditions.
class ThreadPool {
 public:
  using Work = std::function<void(int member, int members)>;

  ThreadPool() = default;
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // The pool of this process. Its threads start with the first calls that need them and end with
  // the process.
  static ThreadPool& shared();

  // Calls work(member, members) once for each member in [0, members), member 0 on the calling
  // thread, and returns when all are done. `work` must not throw. While one caller's work runs,
  // another caller gets a team of itself alone.
  void run(int members, const Work& work);

 private:
  void wait_for_work(int member);

  std::mutex callers_;  // held by the caller whose work runs
  std::mutex mutex_;    // guards what follows
  std::condition_variable work_ready_, work_done_;
  std::vector<std::thread> threads_;  // thread i is member i + 1
  const Work* work_ = nullptr;
  int members_ = 0;
  int unfinished_ = 0;
  std::uint64_t round_ = 0;
  bool stopping_ = false;
};

}  // namespace ovid::kernels::cpu
