#include "data_tools/work_pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <csignal>

namespace ovid::data_tools {

std::size_t WorkPool::cores() {
  cpu_set_t cores;
  if (::sched_getaffinity(0, sizeof cores, &cores) == 0) {
    return static_cast<std::size_t>(std::max(1, CPU_COUNT(&cores)));
  }
  return std::max(1u, std::thread::hardware_concurrency());
}

WorkPool::WorkPool(std::size_t threads) {
  // Threads inherit the mask of the one that starts them.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (std::size_t i = 1; i < threads; ++i) helpers_.emplace_back([this] { help(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

WorkPool::~WorkPool() {
  stop();
}

void WorkPool::stop() {
  update([&] {
    stopped_ = true;
    urgent_.clear();
    background_.clear();
  });
  for (std::jthread& helper : helpers_) {
    if (helper.joinable()) helper.join();
  }
}

void WorkPool::submit_urgent(Task task) {
  const std::lock_guard lock(mutex_);
  if (!stopped_) urgent_.push_back(std::move(task));
  changed_.notify_all();
}

void WorkPool::submit_background(Task task) {
  const std::lock_guard lock(mutex_);
  if (!stopped_) background_.push_back(std::move(task));
  changed_.notify_all();
}

void WorkPool::update(const std::function<void()>& change) {
  const std::lock_guard lock(mutex_);
  change();
  changed_.notify_all();
}

bool WorkPool::run_urgent(std::unique_lock<std::mutex>& lock) {
  if (urgent_.empty()) return false;
  const Task task = std::move(urgent_.front());
  urgent_.pop_front();
  lock.unlock();
  task();
  lock.lock();
  changed_.notify_all();
  return true;
}

void WorkPool::wait_until(const std::function<bool()>& ready) {
  std::unique_lock lock(mutex_);
  while (!ready()) {
    if (stopped_) throw Stopped{};
    if (!run_urgent(lock)) changed_.wait(lock);
  }
}

void WorkPool::help() {
  std::unique_lock lock(mutex_);
  while (!stopped_) {
    if (run_urgent(lock)) continue;
    if (background_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const Task task = std::move(background_.front());
    background_.pop_front();
    lock.unlock();
    task();
    lock.lock();
    changed_.notify_all();
  }
}

}  // namespace ovid::data_tools
