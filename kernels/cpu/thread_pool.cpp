#include "kernels/cpu/thread_pool.h"

namespace ovid::kernels::cpu {

ThreadPool& ThreadPool::shared() {
  static ThreadPool pool;
  return pool;
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_ready_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::run(int members, const Work& work) {
  const std::unique_lock caller(callers_, std::try_to_lock);
  if (!caller.owns_lock()) return work(0, 1);
  {
    const std::lock_guard lock(mutex_);
    while (static_cast<int>(threads_.size()) + 1 < members) {
      const int member = static_cast<int>(threads_.size()) + 1;
      threads_.emplace_back([this, member] { wait_for_work(member); });
    }
    work_ = &work;
    members_ = members;
    unfinished_ = members - 1;
    ++round_;
  }
  work_ready_.notify_all();
  work(0, members);
  std::unique_lock lock(mutex_);
  work_done_.wait(lock, [this] { return unfinished_ == 0; });
  work_ = nullptr;
}

void ThreadPool::wait_for_work(int member) {
  std::uint64_t seen = 0;
  while (true) {
    const Work* work = nullptr;
    int members = 0;
    {
      std::unique_lock lock(mutex_);
      work_ready_.wait(lock, [&] { return stopping_ || round_ != seen; });
      if (stopping_) return;
      seen = round_;
      // Not in this team; and a thread that woke late may find the round over.
      if (work_ == nullptr || member >= members_) continue;
      work = work_;
      members = members_;
    }
    (*work)(member, members);
    {
      const std::lock_guard lock(mutex_);
      --unfinished_;
    }
    work_done_.notify_one();
  }
}

}  // namespace ovid::kernels::cpu
