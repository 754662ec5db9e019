#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace ovid::kernels::cpu {

// Threads that wait for work: what parallel_for stands on. A round of work is open while the caller
// works on it; a thread may join it then, and the caller waits at the end only for those that did.
// A thread that the system does not let run in time is not missed: its core is busy with another
// program, and the caller has done its share. (A fork and join, as OpenMP's, waits for every thread
// each time.)
class ThreadPool {
 public:
  using Work = std::function<void(int member)>;

  ThreadPool() = default;
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // The pool of this process. Its threads start with the first calls that need them and end with
  // the process.
  static ThreadPool& shared();

  // Calls work(0) on this thread, and work(i), at most once each, on the threads i in [1, members)
  // that come in time; returns when all of these calls are over. `work` takes what there is to do
  // from a common store, and must not throw. While one caller's round is open, another caller works
  // alone.
  void run(int members, const Work& work);

 private:
  void wait_for_work(int member);
  bool join(int member, std::uint32_t& last_round);
  void leave();
  void start_threads(int members);

  std::mutex callers_;                // held by the caller whose round is open
  std::vector<std::thread> threads_;  // thread i is member i + 1
  const Work* work_ = nullptr;        // of the open round; read by those that joined
  std::atomic<int> members_ = 0;
  // Who is in which round: the round's number in the upper half, whether it is open, and how many
  // threads have joined it. One word, so that joining and closing cannot cross.
  std::atomic<std::uint64_t> state_ = 0;
  std::atomic<std::uint32_t> round_ = 0;  // what sleepers wait on; the number in state_
  std::atomic<int> sleepers_ = 0;
  std::atomic<bool> stopping_ = false;
};

}  // namespace ovid::kernels::cpu
